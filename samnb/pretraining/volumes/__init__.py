"""The pocket SAM for volumes: its generic bodies, its training, its examination."""
