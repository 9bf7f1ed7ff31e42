"""How the relay is: what lives, what waits and what is in the way. Nothing here is needed for events to arrive."""
