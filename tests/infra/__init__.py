"""What operators run. scripts/test-infra runs these tests, and says which tools they need."""
