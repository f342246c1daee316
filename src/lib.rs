//! LLM Tuner.
