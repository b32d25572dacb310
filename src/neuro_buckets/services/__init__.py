"""The rules of the control plane: who may do what to which bucket, and how it stays true through crashes."""
