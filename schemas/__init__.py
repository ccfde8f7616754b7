"""What the steps exchange: Arrow schemas, and the contracts of the functions between them."""
