"""Payment providers, each behind `payments.domain.provider.Provider`."""
