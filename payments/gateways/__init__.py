"""Payment gateways as the shop calls them: one protocol, two implementations."""
