-- Ready models for servers that are not llama.cpp: presets.servers.<name>{ name = …, model = … }.
-- Each is a model of the type generic; what a server is told, and where it is asked, stands in one
-- table below. Works on Lua 5.1 to 5.5.

return function(closed, generic)
  local texts = { "/v1/chat/completions", "/v1/completions" }
  local images = { "/v1/images/generations", "/v1/images/edits" }
  -- command: the words before the flags. flags: their names, for what is known. ready: the path of
  -- the health check. count: how its prompts are counted. upstream: its name for any model.
  local servers = {
    vllm = {
      command = { "vllm", "serve" },
      flags = { host = "--host", port = "--port", context = "--max-model-len",
        name = "--served-model-name", model = false },
      ready = "/health", endpoints = texts, parallel = 16, count = "vllm",
    },
    mlx_lm = {
      command = { "mlx_lm.server" },
      flags = { host = "--host", port = "--port", model = "--model" },
      -- Another name would make it load the model of that name.
      ready = "/health", endpoints = texts, upstream = "default_model",
    },
    tabbyapi = {
      flags = { host = "--host", port = "--port", model = "--model-name",
        context = "--max-seq-len" },
      -- Its /health is good without a model, too.
      ready = "/v1/model", endpoints = texts, count = "tabbyapi",
    },
    koboldcpp = {
      command = { "koboldcpp" },
      flags = { host = "--host", port = "--port", model = "--model", context = "--contextsize" },
      ready = "/v1/models", endpoints = texts, count = "koboldcpp",
    },
    sd_server = {
      command = { "sd-server" },
      flags = { host = "--listen-ip", port = "--listen-port", model = "-m" },
      ready = "/v1/models", endpoints = images,
    },
    kokoro = {
      command = { "fastkokoro" }, flags = {},
      env = { FASTKOKORO_HOST = "127.0.0.1", FASTKOKORO_PORT = "${PORT}" },
      ready = "/health", endpoints = { "/v1/audio/speech" },
    },
  }
  local of_variant = { "context", "parallel", "needs" }

  local function model_of(title, server, options)
    local function fault(message)
      error(("presets.servers.%s: %s"):format(title, message), 3)
    end
    if type(options) ~= "table" then
      fault("expected a table of options")
    elseif server.flags.model ~= nil and type(options.model) ~= "string" then
      fault("model is required")
    elseif not server.command and type(options.command) ~= "table" then
      fault('command is required: how the server is started, { "python", "main.py" }')
    end
    local command = {}
    for _, word in ipairs(options.command or server.command) do
      command[#command + 1] = word
    end
    local function add(flag, value)
      if flag and value ~= nil then
        command[#command + 1] = flag
        command[#command + 1] = value
      end
    end
    if server.flags.model == false then
      command[#command + 1] = options.model
    else
      add(server.flags.model, options.model)
    end
    add(server.flags.host, "127.0.0.1")
    add(server.flags.port, "${PORT}")
    add(server.flags.context, options.context)
    add(server.flags.name, options.name)
    local variant = {
      command = concat_arrays(command, options.args or {}),
      env = merge_tables(server.env or {}, options.env or {}),
      parallel = server.parallel,
    }
    for _, key in ipairs(of_variant) do
      if options[key] ~= nil then
        variant[key] = options[key]
      end
    end
    local model = {
      engine = generic, health_path = server.ready, endpoints = server.endpoints,
      count = server.count, upstream_model = server.upstream, variants = { variant },
    }
    local used = { model = true, command = true, args = true, env = true }
    for _, key in ipairs(of_variant) do
      used[key] = true
    end
    for key, value in pairs(options) do
      if not used[key] then
        model[key] = value
      end
    end
    return model
  end

  local made = {}
  for title, server in pairs(servers) do
    made[title] = function(options)
      return model_of(title, server, options)
    end
  end
  return closed("presets.servers", made)
end
