"""What a request costs the control plane: `python -m bench.control_plane`."""
