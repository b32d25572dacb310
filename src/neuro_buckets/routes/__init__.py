"""HTTP on one side, services on the other: reads requests, writes answers, decides nothing."""
