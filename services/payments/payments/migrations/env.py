from chassis.persistence.migrations import run_environment
from payments import (
    dispute_storage,
    invoice_storage,
    payment_method_storage,
    remittance_storage,
    storage,
    stray_storage,
)

#: Each of these adds its tables to the one description of the schema.
for module in (dispute_storage, invoice_storage, payment_method_storage, remittance_storage, stray_storage):
    assert module.METADATA is storage.METADATA

run_environment(storage.METADATA)
