"""AWS Budgets: subscribers and tags of budgets."""
