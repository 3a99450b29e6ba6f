-- One database a service; no service reads another's tables.
CREATE DATABASE punchcard_accounts;
CREATE DATABASE punchcard_catalog;
CREATE DATABASE punchcard_cart;
CREATE DATABASE punchcard_payments;
CREATE DATABASE punchcard_credits;
CREATE DATABASE punchcard_support;
CREATE DATABASE punchcard_notifications;
