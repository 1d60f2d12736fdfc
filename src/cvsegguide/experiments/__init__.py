"""What is measured with whole runs: ablations, the demonstration, drives."""
