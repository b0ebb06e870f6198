"""What the API takes and gives, by resource; OpenAPI and the dashboard's types are generated from these classes."""
