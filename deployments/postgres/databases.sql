-- Three stores on one server: lehr's ledger has POSTGRES_DB's name, the others are made here.
CREATE DATABASE prefect OWNER lehr;
CREATE DATABASE mlflow OWNER lehr;
