"""Support tickets: a hold of credits, time worked by the minute, and what is debited in the end."""
