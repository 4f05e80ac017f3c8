"""Give MLflow's administrator the password in MLFLOW_AUTH_ADMIN_PASSWORD: after a restore, or to change it.

MLflow itself reads that variable only when it makes the user.
"""

import os

from mlflow.server.auth.config import read_auth_config
from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore


def main() -> None:
    """Make the user, or change the user's password."""
    store = SqlAlchemyStore()
    store.init_db(read_auth_config().database_uri)  # type: ignore[no-untyped-call]  # MLflow leaves it untyped
    name, password = os.environ["MLFLOW_AUTH_ADMIN_USERNAME"], os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
    if store.has_user(name):
        store.update_user(name, password=password, is_admin=True)
    else:
        store.create_user(name, password, is_admin=True)
    print(f"the password of {name} is the one of this stack")


if __name__ == "__main__":
    main()
