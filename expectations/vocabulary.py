"""The closed sets of values that the layers may hold."""

CATEGORIES = ("llm", "sql", "text", "document", "image", "video", "sound", "music")
STATUSES = ("ok", "error", "cancelled")
RATING_STATUSES = ("logged", "rated", "failed", "unrated")
PROVIDER_COST_STATUSES = ("priced", "no_tokens", "unknown_model", "no_price")
TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
