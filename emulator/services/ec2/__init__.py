"""EC2: security-group rules and VPC endpoints."""
