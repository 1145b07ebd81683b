"""SAM in the reader's browser: its decoder as an ONNX file, and what a page needs beside it."""
