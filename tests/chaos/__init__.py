"""The whole system while doorbells are lost, workers are killed and Postgres goes down."""
