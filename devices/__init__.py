"""devices: the wire. Nothing here decides anything.

topics    the tree jh/v1/{hall}/{device}/{leaf}      wire       bytes to commands and back
profiles  which kind may send what                   pictures   what each screen shows
privacy   identity and phone numbers in text         client     the reference device, with its outbox
simulator a seeded hall of devices and people
"""
