"""What lehr is measured by; a regular package, as one of opacus has the same name and would hide it."""
