"""Money: the operational store of what people change, accounts and the rate card among it."""
