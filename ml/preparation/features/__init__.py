"""Fifth step: features of users and items as files and as feature store documents."""
