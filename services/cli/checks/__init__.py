"""What `drivetrain doctor` looks at: each check asks one part and tells what it found."""
