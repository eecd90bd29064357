"""Preview and deployment of a stage's Pulumi program without the Pulumi CLI."""
