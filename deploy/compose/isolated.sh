# shellcheck shell=bash
# Settings of a stack that tests may start, break and remove beside the one in use. Sourced, never run.
export COMPOSE_PROJECT_NAME=drivetrain-test COMPOSE_ENV_FILES=/dev/null COMPOSE_PROFILES=''
export DRIVETRAIN_SECRETS=$PWD/build/compose/secrets
export DRIVETRAIN_BIND=127.0.0.1 PREDICTION_PORT=28001 PREDICTION_REST_PORT=28000 TRAINING_PORT=28003 MLFLOW_PORT=25000
