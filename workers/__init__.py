"""workers: the async shell. Broker link, dispatcher, journal, outbox, clock, metrics, settings and the command line."""
