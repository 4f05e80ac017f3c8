"""What a registered version holds and how it is published. Serving imports this package: neither torch nor ray here."""
