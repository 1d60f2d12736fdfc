"""Speed and memory of what people run, on this machine."""
