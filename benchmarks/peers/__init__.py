"""The peers that we are measured against: what starts them, and what runs in their place."""
