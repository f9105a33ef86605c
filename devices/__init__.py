"""devices: the wire. Nothing here decides anything.

topics    the tree jh/v1/{hall}/{device}/{leaf}      wire       bytes to commands and back
profiles  which kind may send what                   pictures   what each screen shows
privacy   identity and phone numbers in text         client     the reference device, with its outbox
simulator a seeded hall of devices and people

For vendors (README.md): contract, channels, contract_samples, yaml_text make deploy/asyncapi.yaml; vectors/ are the
cases; conformance with conformance_stage, conformance_cases, scripted_core, gate, kit_broker is the kit.
access    passwords and access list of mosquitto     gateway    old boxes on RS-485: serial_port, frames, keys, bus
"""
