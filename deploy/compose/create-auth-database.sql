-- MLflow keeps its users and their permissions apart from runs and models. Runs once, when the database is made.
CREATE DATABASE mlflow_auth;
