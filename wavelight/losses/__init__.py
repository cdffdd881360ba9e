"""What players minimise, apart from any network."""
