"""Side-by-side measurements; each is a command. README.md says what is measured against what."""
