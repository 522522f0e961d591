"""One module a migration, oldest first. A migration that was released is never edited."""
