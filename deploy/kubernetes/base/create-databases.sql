-- POSTGRES_DB has made the database of runs and models; this one holds MLflow's users.
CREATE DATABASE mlflow_auth OWNER mlflow;
