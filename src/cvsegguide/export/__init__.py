"""Networks as files that other runtimes read: ONNX, and programs of ``torch.export``."""
