"""Speed and memory of the project's parts, as ratios measured side by side in one run."""
