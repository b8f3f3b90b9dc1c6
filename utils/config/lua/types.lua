---@meta
-- The keys of a configuration, for editors that know the Lua language server. Made from the schema:
--     venv/bin/python -m utils.config.reference --write

---@class GatewayServer
---@field listen_v4? string The address for clients, or `"none"`. `"0.0.0.0:7777"` opens the gateway to your network.
---@field listen_v6? string The same for IPv6, such as `"[::1]:7777"`. One of the two must be an address.
---@field tls? GatewayTls `{ cert = "server.crt", key = "server.key" }`: serve https instead of http. See [tls](#tls).
---@field trusted_proxies? string[] The reverse proxies in front of the gateway, by address or network: `{ "127.0.0.1", "10.0.0.0/8" }`. See [Behind a proxy](#behind-a-proxy).
---@field health_check_interval? number The time between two health checks of a running engine, with or without requests: see [Engines that hang](#engines-that-hang). `0`: no checks.
---@field health_check_failures? integer After this number of failed health checks in a row an engine is replaced.
---@field shutdown_timeout? number How long requests in flight may go on when the gateway stops.
---@field keepalive_interval? number A waiting streaming client gets a keep-alive comment at least this often.
---@field client_timeout? number A client is disconnected if it sends nothing of its request, or reads nothing of its answer, for this long.
---@field fast_lane? boolean Whether plain requests to models are read by a faster HTTP server than all others. If an answer looks broken, turn it off to see if it is the cause. Holds for new connections.
---@field max_request_bytes? integer The largest request, and the largest websocket message. The default is 64 MiB, as images are part of a request. llama-server refuses sound files of more than 100 MB.
---@field max_body_memory? integer|string How much memory the bodies of all requests under way may take (512 MiB); the first 64 KiB of each are not counted. One that does not fit is answered with 503 and `Retry-After`; the files of a form go to disk. At least `max_request_bytes`.
---@field max_queue? integer How many requests may wait in the queue; a further one gets an error and `Retry-After`.
---@field max_answers? integer How many answers a request may ask for with `n`. Those for which its engine has too few slots are given one after another.
---@field max_voice_sessions? integer How many [live voice sessions](voice.md) may be open at once.
---@field max_voice_per_client? integer How many of them one client, or one account, may have.
---@field voice_activity_model? boolean Whether these sessions tell speech from noise by silero's model, where `./init.sh speech` has installed it; else by its loudness.
---@field voice_turn_model? string The file of a model that guesses whether a person has said all, which then shortens the silence that ends a turn: see [Live voice](voice.md#the-end-of-a-turn).
---@field max_loaded_models? integer How many engines may run at once: see [Several engines](#several-engines).
---@field max_switch_wait? number How long later requests for the running engine may go before a request that needs another engine: see [The queue](#the-queue). `0`: not at all.
---@field min_residency? number A new engine with requests stays at least this long, even if requests for other engines wait.
---@field priority_header? boolean Whether requests may set their priority with `X-Priority`: see [The queue](#the-queue).
---@field port_range? table `{ first = 50000, last = 50099 }`: the ports for engines without `connect`. Without it: free ports from 16384 to 32767, which no system uses for outgoing connections.
---@field slots? GatewaySlot[] `{ { port = 4801, type = "text" }, { port = 4802 } }`: numbered places for engines. See [slot](#slot).
---@field port_range_start? integer The same by its first port alone: with it, and up to 1000 ports from it on, engines get the first free one.
---@field resources? table<string, integer|string> The resources of the machine, under names of your choice: `{ gpu0 = "24GiB", ram = "64GiB" }`. See [Several engines](#several-engines).
---@field memory_wait? number How long after the end of an engine a start may wait until its memory is free: see [Memory](#memory). `0`: no wait.
---@field shrink_after? number After this time without a request, an engine that is larger than the last requests needed is replaced by a smaller variant, if no request waits. `0`: never.
---@field shrink_requests? integer How many requests in a row must have fit the smaller variant before that.
---@field default_model? string The model or route for requests that name none, if it can do what they need: see [Routing](routing.md). A single model is the default itself.
---@field preload? string[] Models whose engines are started with the gateway, before the first request for them.
---@field capture_budget? integer|string How much memory whole requests to models and their answers may take, for operators at `/admin/captures`: a number of bytes, or a text such as `"64MiB"`. `0`: nothing is captured. They hold what clients wrote; keys and cookies are left out.
---@field capture_folder? string A folder for what `capture_budget` lets be captured: a JSON file for each request, which only its owner may read. Without it nothing of this is on disk. `DELETE /admin/captures` removes the files, too.
---@field capture_disk_budget? integer|string The disk space for the files in `capture_folder` (256 MiB): a number of bytes, or a text such as `"1GiB"`. The oldest make room for new ones.
---@field list_aliases? boolean Whether `/v1/models` has an entry of its own for each alias, which names its model as `alias_of`.
---@field state_budget? integer|string The disk space for saved prompt caches (16 GiB): a number of bytes, or a text such as `"8GiB"`.
---@field state_timeout? number How long an engine may take to save its slots, or to restore one. Then the engine prefills the prompt instead.
---@field responses_budget? integer|string The space for stored responses and conversations (256 MiB); those that were used least recently are forgotten first. See [responses.md](responses.md).
---@field responses_count? integer How many responses and conversations are stored.
---@field responses_age? number How long a response or conversation that nobody uses is stored (30 days).
---@field responses_on_disk? boolean Store responses and conversations in `state_dir`, where they outlive the gateway, instead of in memory.
---@field warm_loads? boolean Preload: read the files of the next engine into the page cache while it waits. See [Load times](#load-times).
---@field hosts? string[] Other names of this machine that clients use, without a port, such as `"llm.example.com"`; `"*"`: any name. See [Names](#names).
---@field cors_origins? string[] Web pages that may use the gateway, such as `"https://chat.example.com"`. Pages that this machine serves always may. `"*"`: all pages.
---@field admin_token? string A token for the admin paths, beside the one that the gateway makes for itself: see [operation.md](operation.md#the-admin-token). ASCII, no spaces; `openssl rand -hex 16` makes a good one, and `admin_token = os.getenv("…")` keeps it out of the file.
---@field log_level? string `"debug"`, `"info"`, `"warning"` or `"error"`.
---@field state_dir? string The folder for data that outlives the gateway: which engines run, their learnt memory needs and load times, and saved prompt caches. Without it: the usual folder of your system.
---@field health_check_timeout? number How long one health check of an engine may take.
---@field engine_startup_timeout? number How long an engine may take to load its model. Then it is stopped, and the client gets an error.
---@field engine_idle_timeout? number|"never" After this time without a request the engine is stopped, which frees its memory. [`keep_alive`](#how-long-a-model-stays-loaded) in a request overrides it.
---@field engine_stop_timeout? number How long an engine may take to stop before it is killed.
---@field stall_timeout? number An engine is replaced if its requests make no progress for this long: see [Engines that hang](#engines-that-hang). `0`: never.
---@field on_ready? (string|number)[] A command that runs each time an engine has become ready: see [Commands of engines](#commands-of-engines).
---@field on_stop? (string|number)[] A command that runs each time an engine that was ready has ended.
---@field state_carry? boolean Save the prompt cache of an engine to disk when it stops, and restore it later: see [Saved prompt caches](#saved-prompt-caches).
---@field grow_answers? boolean Continue an answer that fills the context of its variant in a larger variant: see [Continuation](#continuation).
---@field grow_ahead? boolean Load the larger variant before a conversation needs it: see [Continuation](#continuation).

---@class GatewayPortRange
---@field first integer The first port.
---@field last integer The last port.

---@class GatewaySlot
---@field port integer The port of its engine, which is its number.
---@field type? string What its models must be able to do: `"text"`, `"vision"` (text and images), `"omni"` (text, images and sound), `"embedding"`, `"vision-embedding"`, `"audio"` (transcription) or `"tts"` (speech). Without it: any model.

---@class GatewayTls
---@field cert string The certificate, and those of the authorities below its root (PEM).
---@field key string The private key of the certificate (PEM), unencrypted.

---@class GatewayModel : GatewayDefaults
---@field name? string The name in requests. Names and aliases must be unique. A model with `path` or `hf` needs none: it is called by its file, or by its repository.
---@field path? string The model's file, such as `"~/models/x.gguf"`; of several parts the first. The gateway plans its variants, see [defaults](#defaults) for the options.
---@field hf? string The same for a model in the hub cache: `"org/repo:Q4_K_M"`. Without a quantisation: `Q4_K_M`, else `Q8_0`, else the first.
---@field file? string With `hf`: the file in the repository, instead of a quantisation.
---@field revision? string With `hf`: the branch or the commit. Without it: `main`.
---@field download? "never"|"start"|"request" With `hf`: when a model that is not in the hub cache is fetched. `"start"`: when the gateway starts; `"request"`: when a request names it; `"never"`: not at all. See [models.md](models.md#from-the-configuration).
---@field mmproj? string|false With `path` or `hf`: the file of its projector, `false` for none. Without it: the one beside the model that [fits](models.md#what-is-a-model).
---@field draft? string With `path` or `hf`: the file of a draft model, for speculative decoding.
---@field aliases? table<integer|string, string|table> Other names for the model. An alias may have its own parameters, which override `set_params`: `{ "qwen", ["qwen:think"] = { temperature = 0.6 } }`.
---@field engine? string The type of engine: `presets.engines.llamacpp`, `presets.engines.whisper`, `presets.engines.piper`, `presets.engines.espeak`, `presets.engines.generic` or `presets.engines.remote`. See [Other engines](#other-engines).
---@field connect? string Where the engine listens, such as `"http://127.0.0.1:8080"`. Without it the gateway picks a free port and tells the engine.
---@field url? string Where requests are sent: `"https://api.example.com"`.
---@field api_key? string The key that the gateway sends to the engine as `Authorization: Bearer …`. Use `api_key_env` to keep it out of the file.
---@field api_key_env? string The variable in the gateway's environment that has this key.
---@field endpoints? string[] The paths that the engine serves: `{ "/v1/embeddings" }`. A path that ends in `/` includes all paths below it. Requests for other paths are refused. Without it, all requests are passed on.
---@field health_path? string The path of the health check. For `llamacpp` and `generic` the default is `"/health"`. For the type `remote` there is no health check without it.
---@field ready_status? integer The status of the health check when the engine is ready.
---@field count? string How the running server counts a prompt: as `"vllm"` (`/tokenize`), `"tabbyapi"` (`/v1/token/encode`) or `"koboldcpp"` (`/api/extra/tokencount`) does. Without it, lengths are estimated.
---@field stop_signal? string The signal that stops the engine.
---@field group? string Models of one group may run side by side: see [Several engines](#several-engines).
---@field pinned? boolean The model's engine is not evicted for other models.
---@field tokenization? GatewayTokenization How tokens are counted when the engine does not run: see below.
---@field capabilities? string[] What the model can do: `"text"`, `"vision"`, `"audio"`, `"embeddings"`, `"rerank"`, `"tools"`, `"speech"` (it speaks), `"image"` (it draws). Without it, the arguments of the variants tell (`--mmproj`, `--embeddings`, `--reranking`, `--no-jinja` …), its files (a chat template without tools …) and the engine itself once it runs. Clients see this list, and requests for anything else are refused.
---@field set_params? table Parameters that are set in every request to this model, and override its own: `{ temperature = 0.7, chat_template_kwargs = { enable_thinking = false } }`.
---@field strip_params? string[] Parameters that are removed from every request, before `set_params`.
---@field upstream_model? string The `model` in requests to the engine. Without it, the engine gets the client's.
---@field fallback? string|string[] Models or routes that answer in its place if its engine cannot be loaded: for want of memory, or because it does not start. See [Where a model cannot be loaded](routing.md#where-a-model-cannot-be-loaded).
---@field unlisted? boolean The model is not shown in lists of models; requests may name it all the same.
---@field metadata? table Anything that clients shall read of the model in `/v1/models`: `{ family = "qwen", size = 30 }`.
---@field max_seconds? number The longest sound that it takes, in seconds; longer ones are refused.
---@field max_characters? integer The longest text that it speaks, in characters; longer ones are refused.
---@field wake? (string|number)[] A command that wakes the other machine if its health check fails; the gateway then waits for up to `engine_startup_timeout`. Needs `health_path`.
---@field variants? GatewayVariant[] The ways to start the engine, at least one: see below. A model of type `llamacpp` has either these, or `path` or `hf`.
---@field health_check_timeout? number How long one health check of an engine may take.
---@field engine_startup_timeout? number How long an engine may take to load its model. Then it is stopped, and the client gets an error.
---@field engine_idle_timeout? number|"never" After this time without a request the engine is stopped, which frees its memory. [`keep_alive`](#how-long-a-model-stays-loaded) in a request overrides it.
---@field engine_stop_timeout? number How long an engine may take to stop before it is killed.
---@field stall_timeout? number An engine is replaced if its requests make no progress for this long: see [Engines that hang](#engines-that-hang). `0`: never.
---@field on_ready? (string|number)[] A command that runs each time an engine has become ready: see [Commands of engines](#commands-of-engines).
---@field on_stop? (string|number)[] A command that runs each time an engine that was ready has ended.
---@field state_carry? boolean Save the prompt cache of an engine to disk when it stops, and restore it later: see [Saved prompt caches](#saved-prompt-caches).
---@field grow_answers? boolean Continue an answer that fills the context of its variant in a larger variant: see [Continuation](#continuation).
---@field grow_ahead? boolean Load the larger variant before a conversation needs it: see [Continuation](#continuation).

---@class GatewayGroup
---@field persistent? boolean Engines of the group are not evicted for models of other groups.

---@class GatewayTokenization
---@field binary? string `llama-tokenize` of your llama.cpp.
---@field extra_args? (string|number)[] Its arguments. Without `-m`, the gateway adds the model of the first variant that names one.
---@field extra_tokens_per_message? integer The tokens that the chat template adds to a message.
---@field extra_tokens_per_request? integer The tokens that it adds once, such as a default system prompt.
---@field extra_tokens_per_image? integer The tokens that an image counts as.
---@field extra_tokens_per_audio? integer The tokens that a sound counts as, in a chat or a transcription. Models make about 6 to 25 tokens of a second.
---@field default_max_tokens? integer The room kept for the answer if a request sets no limit.
---@field max_reserved_tokens? integer The largest room kept for an answer, even if its request sets a higher limit. A longer answer is continued: see [Continuation](#continuation). Without it, room for the whole limit is kept.

---@class GatewayVariant
---@field binary? string The `llama-server`, `whisper-server`, server of Piper or `espeak-ng` to start. Without it: for the type `llamacpp` the bundled llama-server, for `whisper` and `piper` the embedded one, for `espeak` that of the machine: see [Speech](speech.md).
---@field args? (string|number)[] Its arguments, as texts or numbers: `{ "-m", "/path/to/model.gguf", "-c", 8192 }`.
---@field command? (string|number)[] The program to start, and its arguments. `${PORT}` is replaced by the port on which it must listen, `${MODEL}` by the model's name; also in `env`.
---@field context? integer The tokens of one request at most, prompt and answer together. For llama-server: the `-c` of `args`, divided by `-np` if that is more than 1. Without it no tokens are counted.
---@field name? string The variant's name in the log, in headers and for `/admin/load`. Without it: its `context`.
---@field env? table<string, string|number> Environment variables: `{ CUDA_VISIBLE_DEVICES = "0" }`.
---@field parallel? integer How many requests the engine serves at once. Give llama-server the same number of slots with `-np`. For the type `remote` the default is 16.
---@field needs? table<string, integer|string> The part of `server.resources` that the engine takes while it runs: `{ gpu0 = "18GiB" }`. Missing amounts are learnt: see [Memory](#memory).
---@field health_check_timeout? number How long one health check of an engine may take.
---@field engine_startup_timeout? number How long an engine may take to load its model. Then it is stopped, and the client gets an error.
---@field engine_idle_timeout? number|"never" After this time without a request the engine is stopped, which frees its memory. [`keep_alive`](#how-long-a-model-stays-loaded) in a request overrides it.
---@field engine_stop_timeout? number How long an engine may take to stop before it is killed.
---@field stall_timeout? number An engine is replaced if its requests make no progress for this long: see [Engines that hang](#engines-that-hang). `0`: never.
---@field on_ready? (string|number)[] A command that runs each time an engine has become ready: see [Commands of engines](#commands-of-engines).
---@field on_stop? (string|number)[] A command that runs each time an engine that was ready has ended.
---@field state_carry? boolean Save the prompt cache of an engine to disk when it stops, and restore it later: see [Saved prompt caches](#saved-prompt-caches).

---@class GatewayDefaults
---@field contexts? integer[]|"auto" The contexts of its variants: `{ 8192, 32768 }`. `"auto"`: those that the memory allows, see [models.md](models.md#plans).
---@field context_size? integer The same for one variant: `context_size = 8192` is `contexts = { 8192 }`.
---@field binary? string The `llama-server` to start. Without it: the one on `PATH`, else the bundled one. In `defaults` it is also that of variants without one.
---@field gpu_layers? integer|"auto" How many layers are kept on the GPU: a number, or `-1` for all. `"auto"`: as many as fit when the engine starts.
---@field cpu_moe_layers? integer Of how many layers the experts stay in main memory.
---@field cache_type? string The type of keys and values in the context, such as `"q8_0"`. Without it: `f16`. It is the same for all variants, so that a saved prompt fits each of them.
---@field flash_attention? boolean Whether attention is computed the faster way. Without it: where the engine can.
---@field threads? integer Threads of the engine.
---@field batch_size? integer How many tokens of a prompt are read before the engine looks at other requests.
---@field ubatch_size? integer How many of these are computed at once.
---@field mlock? boolean Keep the model in main memory: the system must not swap it out.
---@field env? table<string, string|number> Environment variables: `{ CUDA_VISIBLE_DEVICES = "0" }`.
---@field extra_args? (string|number)[] More arguments of the engine, after all others.
---@field command? (string|number)[] The engine with arguments of your own, instead of `binary` and what is planned: `{ "llama-server", "-c", 4096, "-ngl", 99 }`. The model, the host and the port are added. With `-c` it is the only variant.
---@field endpoints? string[] The paths that the engine serves: `{ "/v1/" }`. Without it, all requests are passed on.
---@field health_path? string The path of the health check. Without it: `"/health"`.

---@class GatewayDiscover
---@field hf? boolean In the hub cache of Hugging Face.
---@field llamacpp? boolean In the cache of llama.cpp.
---@field lmstudio? boolean In the folders of LM Studio.
---@field jan? boolean In the folder of Jan.
---@field ollama? boolean In the store of Ollama. Models that Ollama has converted itself may not load.
---@field include? string[] Only models with such a name: `{ "qwen*", "*:Q4_K_M" }`. `*` stands for any text; capital letters do not matter.
---@field exclude? string[] No models with such a name: `{ "*embed*" }`.
---@field limit? integer How many models are served at most: the newest files.
---@field watch? boolean Look again a second after the last change in these places, not only every 10 minutes.

---@class GatewayModelDirs
---@field path string The folder; models in folders below it count, too.
---@field keep? boolean Keep models in the list while their files are away, as on a network share.

---@class GatewayAccounts
---@field database_url? string A PostgreSQL database for the accounts: `postgresql://user:password@host/name`. Without it: the file `accounts.db` in `server.state_dir`.
---@field pricing? GatewayPrice The prices of models that `prices` does not name.
---@field prices? GatewayPrice The prices of single models, or of patterns: `{ ["qwen3-*"] = { output_per_1k = "0.0006" } }`. A missing key is as in `pricing`; of several patterns the longest counts.
---@field currency? string What amounts of money are in, as pages show it: a currency such as `"EUR"`, or a word of your own.
---@field rate_limits? GatewayRateLimits Requests in a minute, by tier.
---@field tiers? GatewayTier Further tiers, or other limits for `payg`, `sub` and `admin`: `{ gold = { rpm = 500, priority = "high" } }`.
---@field oidc? GatewayOidc A provider of OpenID Connect by which people log in. See [oidc](#oidc).
---@field hold_tokens? integer For how many tokens of a streamed answer money is held before it begins. While it grows beyond that, more is held.
---@field hold_wait? number How long a paying request waits for the database before it is refused with 503.
---@field usage_days? integer How many days a request's own figures are kept.
---@field audit_days? integer How many days the audit is kept.
---@field durable? boolean Wait for the disk at each commit to SQLite, so that a loss of power loses nothing.

---@class GatewayPrice
---@field input_per_1k? number|string What a thousand tokens of the prompt cost.
---@field cached_per_1k? number|string The same for tokens that the engine had read before, for an earlier request. Without it: as `input_per_1k`.
---@field output_per_1k? number|string What a thousand tokens of the answer cost.
---@field per_request? number|string What each answer costs beside its tokens.

---@class GatewayRateLimits
---@field payg? integer For accounts that pay as they go.
---@field sub? integer For accounts with a subscription.

---@class GatewayTier
---@field pays? boolean Whether answers are paid from the account's balance. The tier `payg` pays always.
---@field rpm? integer Requests in a minute. Without it: as `rate_limits` says for `payg` and `sub`, else no limit.
---@field tpm? integer Tokens in a minute, of prompts and answers together.
---@field concurrency? integer Requests at the same time.
---@field priority? string The place in the queue: `"low"`, `"normal"` or `"high"`.

---@class GatewayOidc
---@field issuer string The provider, such as `"https://id.example.com/realms/us"`.
---@field client_id string The name that it has given the gateway.
---@field client_secret? string The secret that it has given the gateway, if any.
---@field tier? string The tier of an account that is made when somebody without one logs in. Without it: only those log in who have an account with their e-mail address.
---@field domains? string[] The domains of the e-mail addresses for which accounts are made; none: all.

---@class GatewayRoute
---@field rules? GatewayRule[] The rules, see below. The first one whose conditions all hold decides.
---@field classify? GatewayClassify Lets a small model decide where no rule holds: see below.
---@field to? string|string[] The models or routes for all other requests. Without it, any model that can do what the request needs.
---@field unlisted? boolean The route is not shown in `/v1/models`.
---@field pick? "first"|"warm"|"cheapest_to_load"|"spillover"|"weighted" Which of the models in `to`: `"first"`, `"warm"`, `"cheapest_to_load"`, `"spillover"` or `"weighted"`. See [Pickers](routing.md#pickers).
---@field limits? table<string, integer> For `spillover`: how many requests a model may have, running and waiting, before the next one is taken: `{ small = 4 }`.
---@field weights? table<string, integer> For `weighted`: the share of each model; 1 without an entry: `{ old = 9, new = 1 }`.
---@field fallbacks? string|string[] Models or routes to try after those in `to`, where an engine fails or a queue is full before the first byte of an answer.

---@class GatewayRule
---@field to string|string[] The models or routes for requests that meet every condition.
---@field endpoints? string[] The request is for one of these endpoints: see [Endpoints](routing.md#rules).
---@field parts? string[] It has all of these parts: `"image"`, `"audio"`.
---@field tools? boolean It offers tools to the model, or with `false` none.
---@field min_tokens? integer Its prompt has at least so many tokens, by an estimate.
---@field max_tokens? integer Its prompt has at most so many tokens, by an estimate.
---@field matches? string A regular expression of RE2 that finds something in the last message of the user, or in the first 32 KiB of it.
---@field headers? table<string, string|number> It has these headers: `{ ["X-Team"] = "blue" }`.
---@field tiers? string[] The tier of the client's key is one of these.
---@field hours? integer[] The local time is between these hours: `{ 22, 6 }` is from 22:00 until 6:00.
---@field profile? string This profile is active: see [Profiles](routing.md#profiles).
---@field pick? "first"|"warm"|"cheapest_to_load"|"spillover"|"weighted" Which of the models in `to`: `"first"`, `"warm"`, `"cheapest_to_load"`, `"spillover"` or `"weighted"`. See [Pickers](routing.md#pickers).
---@field limits? table<string, integer> For `spillover`: how many requests a model may have, running and waiting, before the next one is taken: `{ small = 4 }`.
---@field weights? table<string, integer> For `weighted`: the share of each model; 1 without an entry: `{ old = 9, new = 1 }`.
---@field fallbacks? string|string[] Models or routes to try after those in `to`, where an engine fails or a queue is full before the first byte of an answer.

---@class GatewayClassify
---@field model string The model that decides; a small one is best.
---@field labels table<string, string|string[]> The words to choose from, and the models or routes of each: `{ code = { "coder" }, talk = { "small" } }`.
---@field default string The label where the model does not decide in time, or not clearly.
---@field prompt? string What the model is told beside the labels and the last message of the user.
---@field timeout? number How long the decision may take, with a load.
---@field cache? integer How many decisions are remembered, by their message.

---@class GatewayPeer
---@field url string Where the server is: `"http://192.168.1.7:7777"`.
---@field api_key? string The key that it gets. `api_key_env` keeps it out of the file.
---@field api_key_env? string The variable in the gateway's environment that has this key.
---@field admin_token? string The admin token of a peer that is an LLM Gateway. With it, the peer also tells how many requests each of its models has, running and waiting.
---@field admin_token_env? string The variable in the gateway's environment that has this token.
---@field models? string[] Which of its models are served: names, or patterns such as `"gpt-*"`.
---@field share? boolean Whether its models also answer under their names alone, with those of this gateway and of other peers. `false` for a server that costs money.
---@field refresh? number How often it is asked which models it has, and what they do.
---@field timeout? number How long its answer to that may take. Then it counts as gone.
---@field wake? (string|number)[] A command that wakes the machine when a request is for one of its models that were seen before, and it does not answer.

---@class GatewayOtherServer : GatewayModel
---@field model? string Its model, as the server names it.
---@field command? string[] The words before the flags, in place of its own.
---@field args? (string|number)[] Further arguments.
---@field env? table<string, string|number> Environment variables.
---@field context? integer The tokens of one request at most.
---@field parallel? integer How many requests it serves at once.
---@field needs? table<string, integer|string> What it takes of `server.resources`.

---@class GatewayPresets
---@field engines { espeak: string, generic: string, llamacpp: string, piper: string, remote: string, whisper: string } The types of engines.
---@field servers { vllm: fun(options: GatewayOtherServer): GatewayModel, mlx_lm: fun(options: GatewayOtherServer): GatewayModel, tabbyapi: fun(options: GatewayOtherServer): GatewayModel, koboldcpp: fun(options: GatewayOtherServer): GatewayModel, sd_server: fun(options: GatewayOtherServer): GatewayModel, kokoro: fun(options: GatewayOtherServer): GatewayModel } Models for other servers.
---@field bundled { server: string, model: string } What comes with the gateway.

---@type GatewayServer
server = {}
---@type GatewayModel[]
models = {}
---@type table<string, GatewayGroup>
groups = {}
---@type table<string, GatewayRoute>
routes = {}
---@type GatewayAccounts
accounts = {}
---@type GatewayDefaults
defaults = {}
---@type boolean|GatewayDiscover
discover = true
---@type (string|GatewayModelDirs)[]
model_dirs = {}
---@type table<string, GatewayPeer>
peers = {}
---@type GatewayPresets
presets = {}
---@type { workdir: string }
loader = {}
---@param path string A path that may begin with "~", or is relative to the configuration's folder.
---@return string
function config_path(path) end
---@param ... any[]
---@return any[]
function concat_arrays(...) end
---@param ... table
---@return table
function merge_tables(...) end
---@param options table
---@return (string|number)[]
function get_llama_moe_args(options) end
