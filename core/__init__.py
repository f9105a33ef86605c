"""core: the pure queue and evaluation core of one hall. No I/O, clock, randomness, await or logging.

commands      what may be asked                      refusals     why the hall says no
fact          the form of a fact and its cause       effects      what the outside must do or show
command commands_cases  the form of a command; what may be asked about follow-up, conduct, staff, records
facts         what happened, with kind numbers       facts_tickets facts_cases  ... by noun
ticket counter evaluation device visit cases conduct records with their state tables
window        numbers a device has used              deadlines    what will be due
policy policy_parts  the rules of a hall, validated  calendar worktime  business days, opening hours, working time
ranking views who is called next                     why auditor  the reason of a call, told and checked
waiting forecast  the wait estimate, and what a ticket is told
statistics    rates, intervals, ties, tests: the one file with floats, for read models
state         all tables of a hall, digest, snapshot
rules_*       decide and evolve by noun, react in rules_effects
hall          joins the rules: decide, evolve, react
"""
