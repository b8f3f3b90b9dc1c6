-- Every key of a configuration: its name and the check in checks.lua that its value must
-- pass. Defaults are not here but in utils/config/settings.py and models/spec.py, which own them.

local schema = {}

schema.server = {
  { "listen_v4", "listen_v4" },
  { "listen_v6", "listen_v6" },
  { "health_check_timeout", "seconds" },
  { "health_check_interval", "delay" },
  { "health_check_failures", "positive" },
  { "engine_startup_timeout", "seconds" },
  { "engine_idle_timeout", "seconds" },
  { "engine_stop_timeout", "seconds" },
  { "shutdown_timeout", "seconds" },
  { "keepalive_interval", "seconds" },
  { "client_timeout", "seconds" },
  { "max_request_bytes", "positive" },
  { "max_queue", "positive" },
  { "max_loaded_models", "positive" },
  { "max_switch_wait", "delay" },
  { "min_residency", "delay" },
  { "priority_header", "flag" },
  { "port_range", "port_range" },
  { "resources", "resources" },
  { "memory_wait", "delay" },
  { "shrink_after", "delay" },
  { "shrink_requests", "positive" },
  { "default_model", "name" },
  { "state_carry", "flag" },
  { "state_budget", "bytes" },
  { "state_timeout", "seconds" },
  { "grow_answers", "flag" },
  { "grow_ahead", "flag" },
  { "warm_loads", "flag" },
  { "cors_origins", "origins" },
  { "admin_token", "secret" },
  { "log_level", "log_level" },
  { "state_dir", "text" },
}

schema.port_range = {
  { "first", "port", required = true },
  { "last", "port", required = true },
}

schema.model = {
  { "name", "name", required = true },
  { "aliases", "aliases" },
  { "engine", "engine" },
  { "connect", "connect" },
  { "group", "name" },
  { "pinned", "flag" },
  { "grow_answers", "flag" },
  { "grow_ahead", "flag" },
  { "state_carry", "flag" },
  { "tokenization", "tokenization" },
  { "capabilities", "capabilities" },
  { "set_params", "params" },
  { "strip_params", "param_names" },
  { "upstream_model", "name" },
  { "variants", "variants", required = true },
  { "health_check_timeout", "seconds" },
  { "engine_startup_timeout", "seconds" },
  { "engine_idle_timeout", "seconds" },
  { "engine_stop_timeout", "seconds" },
}

schema.group = {
  { "persistent", "flag" },
}

schema.tokenization = {
  { "binary", "binary" },
  { "extra_args", "arguments" },
  { "extra_tokens_per_message", "amount" },
  { "extra_tokens_per_request", "amount" },
  { "extra_tokens_per_image", "amount" },
  { "extra_tokens_per_audio", "amount" },
  { "default_max_tokens", "positive" },
  { "max_reserved_tokens", "positive" },
}

schema.variant = {
  { "binary", "binary" },
  { "args", "arguments" },
  { "context", "positive", required = true },
  { "env", "env" },
  { "parallel", "positive" },
  { "needs", "resources" },
  { "state_carry", "flag" },
  { "health_check_timeout", "seconds" },
  { "engine_startup_timeout", "seconds" },
  { "engine_idle_timeout", "seconds" },
  { "engine_stop_timeout", "seconds" },
}

return schema
