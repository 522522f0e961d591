"""The click commands of the console command, one module a topic."""
