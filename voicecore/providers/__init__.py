"""Providers of speech, language and turn taking: contracts in base, one file a provider."""
