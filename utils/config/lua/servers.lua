-- Ready models for servers that are not llama.cpp: presets.servers.<name>{ name = …, model = … }.
-- Each is a model of the type generic. What is known of the servers is in utils/config/servers.py.
-- Works on Lua 5.1 to 5.5.

return function(closed, generic, servers)
  local of_variant = { "context", "parallel", "needs" }

  local function model_of(title, server, options)
    local function fault(message)
      error(("presets.servers.%s: %s"):format(title, message), 3)
    end
    if type(options) ~= "table" then
      fault("expected a table of options")
    elseif server.flags and server.flags.model and type(options.model) ~= "string" then
      fault("model is required")
    elseif not server.command and type(options.command) ~= "table" then
      fault('command is required: how the server is started, { "python", "main.py" }')
    end
    local command, flags = {}, server.flags or {}
    for _, word in ipairs(options.command or server.command) do
      command[#command + 1] = word
    end
    local function add(flag, value)
      if flag and value ~= nil then
        if flag ~= "" then
          command[#command + 1] = flag
        end
        command[#command + 1] = value
      end
    end
    add(flags.model, options.model)
    add(flags.host, "127.0.0.1")
    add(flags.port, "${PORT}")
    add(flags.context, options.context)
    add(flags.name, options.name)
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
      count = server.counter, upstream_model = server.upstream, variants = { variant },
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
