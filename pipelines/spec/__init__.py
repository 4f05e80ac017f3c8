"""The training spec, a section a file; pydantic alone."""
