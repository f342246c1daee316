#![no_main]
llm_tuner_engine_fuzz::target!("record");
