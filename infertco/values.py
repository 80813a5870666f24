"""The six values a scenario is made of, and what every field means.

Each value is frozen; a numeric field is a float or a 1-D array with one entry a row. A field's name is unique across
all six, ends in its base unit, and is at the same time the DataFrame column, the CSV parameter, the slider and the
report parameter. Label, unit, help and ranges are written here once: sliders, axis titles, the glossary, the data
vocabulary and the checks all read them. NaN is "no figure"; for the fields in CHOSEN it is "the model chooses".
"""

from dataclasses import dataclass, field, fields

import numpy as np

Number = float | np.ndarray
NAN = float("nan")


def quantity(label, unit, help, allowed=(0.0, np.inf), usual=None, default=NAN, above=False, better=None):
    """A numeric field: label, base unit, one line of help, the range a caller may give, the range a fact should be in.

    `above` excludes the lower end of `allowed`; `better` is "more" or "less" where a column has a better direction.
    """
    meta = dict(label=label, unit=unit, help=help, allowed=allowed, usual=usual or allowed, above=above, better=better)
    return field(default=default, metadata=meta)


def text(label, help, choices=(), default=""):
    """A text field: an id, a choice out of `choices`, or a description no equation reads."""
    return field(default=default, metadata=dict(label=label, unit="text", help=help, choices=choices))


ONE = (0.0, 1.0)
EFFICIENCY = dict(allowed=(0.0, 2.0), usual=(0.02, 1.2), above=True)


@dataclass(frozen=True, kw_only=True, eq=False)
class Chip:
    """One accelerator: what the maker prints, what it costs, and how much of it its class reaches."""

    chip: str = text("Chip", "Id of the chip in data/chips.csv")
    name: str = text("Name", "Name as the maker prints it")
    vendor: str = text("Maker", "Company that sells it")
    kind: str = text("Kind", "What it is", choices=("gpu", "tpu", "asic", "edge", "cpu"))
    status: str = text("Status", "Can it be had", choices=("available", "sampling", "announced", "withdrawn"))
    launch_date: str = text("Launch", "Day, month or year of launch")
    form: str = text("Form", "SXM, OAM, PCIe, rack, cloud, ...")
    process: str = text("Process", "Silicon process node")
    memory_type: str = text("Memory", "Kind of memory behind hbm_bytes")
    scale_up_link: str = text("Scale-up link", "Name of the chip-to-chip link")
    efficiency_class: str = text("Class", "Row of data/efficiency.csv that the efficiencies come from")
    usual_engine: str = text("Usual engine", "Serving engine taken when none is named")
    generation: Number = quantity("Generation", "1", "Shade of its color: 1 to Ampere, 2 Hopper, 3 Blackwell, 4 Rubin, and equals", (1, 4), default=3.0)
    hbm_bytes: Number = quantity("Memory", "byte", "Real bytes of the main memory of one chip", above=True, usual=(1e8, 4e12))
    hbm_bytes_per_s: Number = quantity("Memory bandwidth", "byte/s", "Peak bandwidth of that memory", above=True, usual=(2e10, 3e16))
    hbm_stacks: Number = quantity("HBM stacks", "1", "Stacks of HBM on the package", usual=(0, 16))
    peak_flop_per_s_bf16: Number = quantity("Peak bf16", "FLOP/s", "Dense peak in bf16", above=True, usual=(1e11, 3e17))
    peak_flop_per_s_fp16: Number = quantity("Peak fp16", "FLOP/s", "Dense peak in fp16", above=True, usual=(1e11, 3e17))
    peak_flop_per_s_fp8: Number = quantity("Peak fp8", "FLOP/s", "Dense peak in fp8", above=True, usual=(1e12, 3e17))
    peak_flop_per_s_int8: Number = quantity("Peak int8", "FLOP/s", "Dense peak in int8, operations", above=True, usual=(1e12, 3e17))
    peak_flop_per_s_fp4: Number = quantity("Peak fp4", "FLOP/s", "Dense peak in fp4", above=True, usual=(1e12, 3e17))
    measured_flop_per_s_bf16: Number = quantity("Measured bf16", "FLOP/s", "Best large matrix product measured in bf16", above=True, usual=(1e11, 3e17))
    measured_flop_per_s_fp8: Number = quantity("Measured fp8", "FLOP/s", "Best large matrix product measured in fp8", above=True, usual=(1e11, 3e17))
    link_bytes_per_s: Number = quantity("Scale-up link", "byte/s", "Chip-to-chip bandwidth inside the scale-up domain, one direction", above=True, usual=(1e8, 1e13))
    scale_up_domain: Number = quantity("Scale-up domain", "1", "Chips that reach each other over the scale-up link", (1, np.inf), usual=(1, 10000))
    scale_out_bytes_per_s: Number = quantity("Scale-out link", "byte/s", "Bandwidth out of the scale-up domain, one direction", above=True, usual=(1e8, 1e12))
    tdp_w: Number = quantity("TDP", "W", "Rated power of one chip", above=True, usual=(1, 30000))
    host_w: Number = quantity("Host power", "W", "Rated power of host, memory, storage and fans, per chip", usual=(0, 5000))
    network_w: Number = quantity("Network power", "W", "Rated power of switches, NICs and optics, per chip", usual=(0, 1000))
    chip_usd: Number = quantity("Chip price", "USD", "Purchase price of one chip, without its host", usual=(10, 5e6))
    host_usd: Number = quantity("Host price", "USD", "Price of the server without its chips, per chip", usual=(0, 1e6))
    network_usd: Number = quantity("Network price", "USD", "Price of scale-out switches, NICs and optics, per chip", usual=(0, 1e5))
    scale_up_usd: Number = quantity("Scale-up price", "USD", "Price of scale-up switches and cables, per chip, where neither chip nor host price holds them", usual=(0, 1e5), default=0.0)
    cloud_usd_per_hour_on_demand: Number = quantity("Cloud price, on demand", "USD/h", "Hourly price of one chip, no commitment", usual=(0.01, 200))
    cloud_usd_per_hour_reserved: Number = quantity("Cloud price, reserved", "USD/h", "Hourly price of one chip, reserved for a year or more", usual=(0.01, 200))
    cloud_usd_per_hour_spot: Number = quantity("Cloud price, spot", "USD/h", "Hourly price of one chip that may be taken back", usual=(0.01, 200))
    embodied_carbon_g: Number = quantity("Embodied carbon", "g", "Carbon of making the chip and its share of the host", usual=(1e3, 1e7))
    compute_efficiency_16: Number = quantity("Compute efficiency, 16 bit", "1", "Share of the 16-bit peak a large matrix product reaches", **EFFICIENCY)
    compute_efficiency_8: Number = quantity("Compute efficiency, 8 bit", "1", "Share of the 8-bit peak a large matrix product reaches", **EFFICIENCY)
    compute_efficiency_4: Number = quantity("Compute efficiency, 4 bit", "1", "Share of the 4-bit peak a large matrix product reaches", **EFFICIENCY)
    memory_efficiency_16: Number = quantity("Memory efficiency, 16 bit", "1", "Share of the bandwidth a weight-bound 16-bit product reaches", **EFFICIENCY)
    memory_efficiency_8: Number = quantity("Memory efficiency, 8 bit", "1", "Share of the bandwidth a weight-bound 8-bit product reaches", **EFFICIENCY)
    memory_efficiency_4: Number = quantity("Memory efficiency, 4 bit", "1", "Share of the bandwidth a weight-bound 4-bit product reaches", **EFFICIENCY)
    kernel_time_s_16: Number = quantity("Kernel floor, 16 bit", "s", "Least time of one kernel in 16 bit", usual=(0, 1e-3))
    kernel_time_s_8: Number = quantity("Kernel floor, 8 bit", "s", "Least time of one kernel in 8 bit, quantization included", usual=(0, 1e-3))
    kernel_time_s_4: Number = quantity("Kernel floor, 4 bit", "s", "Least time of one kernel in 4 bit, quantization included", usual=(0, 1e-3))
    attention_compute_efficiency: Number = quantity("Attention compute efficiency", "1", "Share of the 16-bit peak that attention over a prompt reaches", **EFFICIENCY)
    attention_memory_efficiency: Number = quantity("Attention memory efficiency", "1", "Share of the bandwidth that reading the KV cache reaches", **EFFICIENCY)
    expert_compute_efficiency: Number = quantity("Expert compute", "1", "Compute efficiency of grouped experts over that of dense products", default=1.0, **EFFICIENCY)
    expert_memory_efficiency: Number = quantity("Expert memory", "1", "Memory efficiency of grouped experts over that of dense products", default=1.0, **EFFICIENCY)
    tpot_spread: Number = quantity("Spread of TPOT", "1", "Standard deviation of log(measured/predicted) of token times", usual=(0.01, 2))
    ttft_spread: Number = quantity("Spread of TTFT", "1", "Standard deviation of log(measured/predicted) of first-token times", usual=(0.01, 3))
    moe_spread: Number = quantity("Spread of MoE", "1", "What mixture-of-experts models add to the spread, as a factor", (1, 10), default=1.0)
    calibrated: Number = quantity("Calibrated", "1", "1 if end-to-end measurements of the chip's class are behind its efficiencies", ONE, default=0.0)
    energy_spread: Number = quantity("Spread of energy", "1", "Standard deviation of log(measured/predicted) of energy per token", usual=(0.01, 2))
    idle_power_share: Number = quantity("Idle power share", "1", "Draw of a chip that waits, share of TDP", ONE)
    power_per_memory_use: Number = quantity("Power of memory", "1", "Saturating rise of the draw with the share of the bandwidth in use", (0, 20))
    power_per_root_compute_use: Number = quantity("Power of compute", "1", "Saturating rise of the draw with the root of the share of the peak in use", (0, 20))
    server_power_factor: Number = quantity("Server factor", "1", "AC draw that a server adds for each watt of its chips: supplies and fans, chips included", (1, 3))
    server_w: Number = quantity("Server rest", "W", "AC draw of a server beside its chips, per chip", usual=(0, 2000))


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """One transformer: its shape. Parameters, FLOP and bytes all follow from it."""

    model: str = text("Model", "Id of the model in data/models.csv")
    family: str = text("Family", "Models trained together, or of one design")
    release_date: str = text("Release", "Day of release")
    n_layers: Number = quantity("Layers", "1", "Transformer layers", (1, 1000))
    d_model: Number = quantity("Model width", "1", "Width of the residual stream", (1, 1e6), usual=(256, 65536))
    n_heads: Number = quantity("Query heads", "1", "Attention heads", (1, 1e4))
    n_kv_heads: Number = quantity("KV heads", "1", "Key and value heads (1: MQA; as n_heads: MHA)", (1, 1e4))
    d_head: Number = quantity("Head width", "1", "Width of one attention head", (1, 4096), usual=(32, 1024))
    d_ff: Number = quantity("FFN width", "1", "Width of the dense feed-forward layers", (0, 1e6))
    n_ffn_matrices: Number = quantity("FFN matrices", "1", "3 for gated feed-forward layers, 2 for plain", (2, 3), default=3.0)
    vocab_size: Number = quantity("Vocabulary", "1", "Entries of the vocabulary", (1, 1e7))
    tied_embeddings: Number = quantity("Tied embeddings", "1", "1 if the head shares the embedding table", ONE, default=0.0)
    q_lora_rank: Number = quantity("Query rank", "1", "MLA: rank of the query projection; 0 without", default=0.0)
    kv_lora_rank: Number = quantity("KV rank", "1", "MLA: width of the latent cache; 0: not MLA", default=0.0)
    d_rope: Number = quantity("RoPE width", "1", "MLA: width of the shared rotary key", default=0.0)
    d_nope: Number = quantity("No-RoPE width", "1", "MLA: width of a head's key without rotation", default=0.0)
    d_value: Number = quantity("Value width", "1", "MLA: width of a head's value", default=0.0)
    n_experts: Number = quantity("Experts", "1", "Routed experts of a MoE layer; 0: dense", (0, 1e5), default=0.0)
    n_active_experts: Number = quantity("Active experts", "1", "Routed experts a token visits", (0, 1e4), default=0.0)
    n_shared_experts: Number = quantity("Shared experts", "1", "Experts every token visits", (0, 1e3), default=0.0)
    d_ff_expert: Number = quantity("Expert width", "1", "Width of one routed expert", (0, 1e6), default=0.0)
    d_ff_shared: Number = quantity("Shared-expert width", "1", "Width of one shared expert", (0, 1e6), default=0.0)
    n_moe_layers: Number = quantity("MoE layers", "1", "Layers with experts; the others are dense", (0, 1000), default=0.0)
    window_tokens: Number = quantity("Attention window", "token", "Tokens a windowed layer sees; 0: no windowed layers", (0, 1e8), default=0.0)
    n_window_layers: Number = quantity("Windowed layers", "1", "Layers that see only the window", (0, 1000), default=0.0)
    n_linear_layers: Number = quantity("Constant-state layers", "1", "Linear-attention or state-space layers: no KV cache", (0, 1000), default=0.0)
    linear_state_bytes: Number = quantity("Layer state", "byte", "State a sequence keeps in one constant-state layer", default=0.0)
    total_params: Number = quantity("Parameters", "1", "Parameters as the maker states them", usual=(1e6, 1e14))
    active_params: Number = quantity("Active parameters", "1", "Parameters a token uses, as the maker states them", usual=(1e6, 1e14))
    published_weight_bits: Number = quantity("Published width", "bit", "Bits a weight as published, scales included", (1, 32), default=16.0)
    max_context_tokens: Number = quantity("Longest context", "token", "Longest context the maker supports", (1, 1e9))
    mtp_layers: Number = quantity("MTP layers", "1", "Multi-token-prediction layers that may draft", (0, 16), default=0.0)
    training_tokens: Number = quantity("Training tokens", "token", "Tokens it was trained on", usual=(1e9, 1e15))


@dataclass(frozen=True, kw_only=True, eq=False)
class Workload:
    """One kind of request and the latency its users accept. Lengths are means over requests."""

    workload: str = text("Workload", "Id of the workload in data/workloads.csv")
    title: str = text("Title", "What is asked")
    period: str = text("Period", "When the trace was taken")
    input_tokens: Number = quantity("Prompt", "token", "Mean prompt length of a request", (1, 1e8))
    output_tokens: Number = quantity("Answer", "token", "Mean answer length of a request", (1, 1e8))
    prefix_hit_rate: Number = quantity("Prefix hits", "1", "Share of prompt tokens found in the prefix cache", ONE, default=0.0)
    ttft_slo_s: Number = quantity("TTFT limit", "s", "Time to first token users accept; NaN: none", above=True, usual=(0.01, 3600))
    tpot_slo_s: Number = quantity("TPOT limit", "s", "Time per output token users accept; NaN: none", above=True, usual=(1e-4, 60))
    slo_quantile: Number = quantity("SLO quantile", "1", "Quantile the limits apply to; NaN: the mean", ONE)
    arrival_cv: Number = quantity("Burstiness", "1", "Coefficient of variation of the gaps between arrivals; 1: Poisson", usual=(0, 50), default=1.0)
    n_requests: Number = quantity("Requests", "1", "Requests in the trace")
    trace_requests_per_s: Number = quantity("Trace rate", "req/s", "Mean arrival rate of the trace")
    input_tokens_p50: Number = quantity("Prompt, median", "token", "Median prompt length")
    input_tokens_p90: Number = quantity("Prompt, P90", "token", "90th percentile of the prompt length")
    input_tokens_p99: Number = quantity("Prompt, P99", "token", "99th percentile of the prompt length")
    input_tokens_max: Number = quantity("Prompt, longest", "token", "Longest prompt")
    output_tokens_p50: Number = quantity("Answer, median", "token", "Median answer length")
    output_tokens_p90: Number = quantity("Answer, P90", "token", "90th percentile of the answer length")
    output_tokens_p99: Number = quantity("Answer, P99", "token", "99th percentile of the answer length")
    output_tokens_max: Number = quantity("Answer, longest", "token", "Longest answer")
    peak_to_mean_1min: Number = quantity("Minute peak over mean", "1", "Busiest minute over the mean minute")
    dispersion_1min: Number = quantity("Minute dispersion", "1", "Variance over mean of requests a minute; 1: Poisson")
    diurnal_max_over_mean: Number = quantity("Daily peak over mean", "1", "Busiest hour over the mean hour", (1, np.inf))
    diurnal_max_over_min: Number = quantity("Daily peak over trough", "1", "Busiest hour over the quietest", (1, np.inf))
    workday_over_mean: Number = quantity("Working day over mean", "1", "Load of the five busy days of a week over the mean day; 1.4: nothing on the other two", (1, 1.4), default=1.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Deployment:
    """How the model is laid out and loaded. NaN in a field of CHOSEN: the model, the engine or the memory decides."""

    engine: str = text("Engine", "Serving engine; empty: the usual one of the chip's class")
    weight_bits: Number = quantity("Weight width", "bit", "Stored bits a weight, scales included; NaN: as published", (1, 32))
    kv_bits: Number = quantity("KV width", "bit", "Stored bits of a KV element; NaN: 16", (1, 32))
    activation_bits: Number = quantity("Arithmetic width", "bit", "16, 8 or 4; NaN: 8 for 8-bit weights, else 16", (4, 32))
    tensor_parallel: Number = quantity("Tensor parallel", "1", "Chips that share each layer; NaN: the fewest that hold the model", (1, 1e5))
    pipeline_parallel: Number = quantity("Pipeline stages", "1", "Groups of chips that hold consecutive layers", (1, 1e4))
    expert_parallel: Number = quantity("Expert parallel", "1", "Ways the experts are spread; NaN: 1, or all with data-parallel attention", (1, 1e5))
    attention_data_parallel: Number = quantity("Attention groups", "1", "Groups that each attend to their own sequences", (1, 1e5), default=1.0)
    batch: Number = quantity("Batch", "1", "Mean sequences in flight on one replica, kept full", (0, 1e7), above=True)
    clients: Number = quantity("Clients", "1", "Closed loop of clients without think time on one replica", (0, 1e7), above=True)
    arrival_requests_per_s: Number = quantity("Arrivals", "req/s", "Open traffic to one replica", (0, 1e9), above=True)
    demand_requests_per_s: Number = quantity("Demand", "req/s", "Traffic to the whole fleet, mean", (0, 1e12), above=True)
    availability_target: Number = quantity("Availability target", "1", "Share of time that enough replicas work for the peak of the demand; spares follow", (0, 0.999999), default=0.999)
    failure_correlation: Number = quantity("Failure correlation", "1", "Of two replicas' being down at the same time; 0: they fail independently", (0, 0.9), default=0.0)
    max_batch: Number = quantity("Largest batch", "1", "The engine's own limit on sequences in flight", (1, 1e7), default=1024.0)
    chunk_tokens: Number = quantity("Prefill chunk", "token", "Prompt tokens an engine step takes", (1, 1e7), default=8192.0)
    memory_reserve: Number = quantity("Memory reserve", "1", "Share of memory the engine leaves free", ONE, default=0.08)
    workspace_bytes: Number = quantity("Workspace", "byte", "Activations and buffers of one chip; NaN: 2 GB, at most 4 % of memory")
    power_limit_w: Number = quantity("Power limit", "W", "Limit on the draw of one chip; lowers power alone, speeds stay; NaN: none", above=True)
    draft_tokens: Number = quantity("Draft tokens", "1", "Tokens drafted a step by speculative decoding; 0: none", (0, 64), default=0.0)
    draft_acceptance: Number = quantity("Draft acceptance", "1", "Chance that a drafted token is accepted", ONE, default=0.7)
    draft_cost_share: Number = quantity("Draft cost", "1", "Time of one draft step over one step of the model", (0, 10), default=0.05)
    prefill_workers: Number = quantity("Prefill workers", "1", "Instances that only read prompts; 0: as many as keep the decode workers busy", (0, 1e5), default=0.0)
    decode_workers: Number = quantity("Decode workers", "1", "Instances that only write answers; batch and clients are those of all of them; 0: prefill and decode share chips", (0, 1e5), default=0.0)
    prefill_tensor_parallel: Number = quantity("Prefill tensor parallel", "1", "Tensor parallel of a prefill worker; NaN: as tensor_parallel", (1, 1e5))
    decode_tensor_parallel: Number = quantity("Decode tensor parallel", "1", "Tensor parallel of a decode worker; NaN: as tensor_parallel", (1, 1e5))
    prefill_attention_data_parallel: Number = quantity("Prefill attention groups", "1", "Attention groups of a prefill worker; NaN: as attention_data_parallel", (1, 1e5))
    decode_attention_data_parallel: Number = quantity("Decode attention groups", "1", "Attention groups of a decode worker; NaN: as attention_data_parallel", (1, 1e5))
    kv_transfer_efficiency: Number = quantity("KV hand-off efficiency", "1", "Share of the link between the pools that the KV hand-off reaches", ONE, default=0.6)
    layer_time_s: Number = quantity("Layer overhead", "s", "Fixed time of one layer beside its kernels; NaN: the engine's", usual=(0, 1e-3))
    allreduce_time_s: Number = quantity("All-reduce latency", "s", "Fixed time of one all-reduce; NaN: the engine's", usual=(0, 1e-3))
    step_time_s: Number = quantity("Step overhead", "s", "Fixed host time of one engine step; NaN: the engine's", usual=(0, 0.1))
    sequence_time_s: Number = quantity("Sequence overhead", "s", "Host time of one step for each sequence; NaN: the engine's", usual=(0, 1e-3))
    first_token_time_s: Number = quantity("First-token overhead", "s", "Fixed time of a request beside prefill; NaN: the engine's", usual=(0, 1))
    link_efficiency: Number = quantity("Link efficiency", "1", "Share of the link that collectives reach; NaN: the engine's", **EFFICIENCY)
    compute_share: Number = quantity("Engine compute", "1", "Share of the chip's compute efficiency that the engine's kernels reach; NaN: the engine's", **EFFICIENCY)
    attention_share: Number = quantity("Engine attention", "1", "Share of the chip's attention efficiency that the engine's kernels reach on prompts; NaN: the engine's", **EFFICIENCY)
    flop_energy_j: Number = quantity("Energy of a FLOP", "J", "Rated power that a 16-bit FLOP a second of the engine's kernels takes; 0: power does not limit; NaN: the engine's", usual=(0, 1e-11))
    prompt_layer_time_s: Number = quantity("Prompt layer overhead", "s", "Fixed time of one layer more where a step reads prompts, run without a captured graph; NaN: the engine's", usual=(0, 1e-2))
    burst_wait: Number = quantity("Burst wait", "1", "Share of the prompts of a burst that a request waits for; NaN: the engine's", (0, 10))
    overflow_wait: Number = quantity("Overflow wait", "1", "Share of a full wait that requests without room show on average; NaN: the engine's", (0, 2))
    prefill_charge: Number = quantity("Prefill charge", "1", "Share of a prompt's prefill time that decoding waits for; NaN: the engine's", (0, 2))


@dataclass(frozen=True, kw_only=True, eq=False)
class Site:
    """Where the chips stand: energy, building, grid, place."""

    site: str = text("Site", "Id of the site in data/sites.csv")
    place: str = text("Place", "Where it is")
    usd_per_kwh: Number = quantity("Electricity", "USD/kWh", "Price of electricity, delivered", usual=(0.005, 1))
    pue: Number = quantity("PUE", "1", "Facility power over IT power", (1, 10), usual=(1, 3))
    grid_g_per_kwh: Number = quantity("Grid carbon", "g/kWh", "Location-based carbon intensity", usual=(0, 1500))
    facility_usd_per_w: Number = quantity("Building", "USD/W", "Cost to build one watt of critical IT load", usual=(1, 50))
    colo_usd_per_kw_month: Number = quantity("Colocation rent", "USD/kW-month", "Rent of one kW of critical IT load", usual=(20, 2000))
    usd_per_gb_egress: Number = quantity("Egress", "USD/GB", "Price of data sent to users", usual=(0, 1))
    latitude: Number = quantity("Latitude", "deg", "Degrees north", (-90, 90))
    longitude: Number = quantity("Longitude", "deg", "Degrees east", (-180, 180))


@dataclass(frozen=True, kw_only=True, eq=False)
class Finance:
    """Who pays, and how: ownership, commitment, money and time. Real dollars of price_year."""

    ownership: str = text("Ownership", "Who owns what", choices=("owned", "colo", "cloud"), default="colo")
    commitment: str = text("Commitment", "How a cloud chip is rented", choices=("on_demand", "reserved", "spot"), default="on_demand")
    allocation: str = text("Allocation", "How the bill is split between prompt and answer", choices=("chip_time", "tokens", "output"), default="chip_time")
    utilization: Number = quantity("Utilization", "1", "Served over capacity, averaged over the year; with a demand, that of its fleet, spares included", ONE, above=True, usual=(0.05, 1))
    price_year: Number = quantity("Price year", "1", "Year whose dollars are meant", (2000, 2100), default=2026.0)
    cost_of_capital: Number = quantity("Cost of capital", "1/year", "Real yearly rate on what is bought", (0, 1), usual=(0, 0.3))
    chip_life_years: Number = quantity("Chip life", "year", "Years over which chip, host and network are paid off", (0, 50), above=True, usual=(1, 10))
    facility_life_years: Number = quantity("Building life", "year", "Years over which the building is paid off", (0, 100), above=True, usual=(5, 40))
    residual_share: Number = quantity("Residual value", "1", "Price a chip fetches at the end of its life, share of the new price; NaN: follows from price_performance_per_year", ONE)
    price_performance_per_year: Number = quantity("Price-performance", "1/year", "Yearly rise of what a dollar of hardware does; what is bought loses value as fast", (0, 10), usual=(0, 3))
    maintenance_share: Number = quantity("Maintenance", "1/year", "Yearly upkeep of bought hardware, share of its price", ONE, usual=(0, 0.3))
    facility_maintenance_share: Number = quantity("Building upkeep", "1/year", "Yearly upkeep of the building, share of its price", ONE, usual=(0, 0.2))
    insurance_share: Number = quantity("Insurance and tax", "1/year", "Yearly insurance and property tax, share of the price of hardware", ONE, usual=(0, 0.1))
    staff_usd_per_kw_year: Number = quantity("Staff", "USD/kW-year", "Yearly cost of operating staff, per kW of IT load", usual=(0, 2000))
    software_usd_per_chip_year: Number = quantity("Software", "USD/year", "Yearly licences and support, per chip", usual=(0, 50000))
    other_usd_per_chip: Number = quantity("Other capital", "USD", "Storage, racks, freight and installation, per chip", usual=(0, 1e6))
    spares_share: Number = quantity("Spares", "1", "Stock of spare chips, hosts and network parts, share of the price of those in service", ONE)
    availability: Number = quantity("Availability", "1", "Share of the year a chip slot is in service; spare replicas take its place in a fleet for a demand", ONE, above=True, usual=(0.8, 1))
    chip_failures_per_year: Number = quantity("Chip failures", "1/year", "Failures a year of one chip, its memory apart", usual=(0, 2))
    memory_failures_per_year: Number = quantity("Memory failures", "1/year", "Failures a year of the memory of one chip", usual=(0, 2))
    host_failures_per_year: Number = quantity("Host failures", "1/year", "Failures a year of a server, per chip", usual=(0, 2))
    network_failures_per_year: Number = quantity("Network failures", "1/year", "Failures a year of switch, cable and NIC, per chip", usual=(0, 2))
    software_failures_per_year: Number = quantity("Software failures", "1/year", "Crashes a year that a restart mends, per chip", usual=(0, 50))
    repair_time_s: Number = quantity("Repair", "s", "From a hardware failure until the replica serves again, the part on stock", usual=(60, 3e7))
    restart_time_s: Number = quantity("Restart", "s", "From a software failure until the replica serves again", usual=(1, 1e5))
    billing_power_share: Number = quantity("Metered share", "1", "Mean draw over rated power, where no draw is modeled", ONE, above=True)
    requests_per_user_day: Number = quantity("Requests of a user", "1", "Requests a user sends a day, mean over active users", usual=(0.01, 10000))


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingRates:
    """What training reaches of a chip: the items training/... of data/efficiency.csv, by kind or class of chip and by stack."""

    product_share_16: Number = quantity("Training products, 16 bit", "1", "Share of the measured matrix product that a training step reaches in 16 bit", **EFFICIENCY)
    product_share_8: Number = quantity("Training products, 8 bit", "1", "The same in 8 bit, taken for 4 bit as well", **EFFICIENCY)
    matmul_share_16: Number = quantity("Large product, 16 bit", "1", "Measured large product over the 16-bit peak, where the chip's own is not known", **EFFICIENCY)
    matmul_share_8: Number = quantity("Large product, 8 bit", "1", "Measured large product over the 8-bit peak, where the chip's own is not known", **EFFICIENCY)
    attention_share: Number = quantity("Training attention", "1", "Share of the 16-bit peak that causal attention reaches, both directions", **EFFICIENCY)
    attention_factor: Number = quantity("Attention of the stack", "1", "Speed of a stack's attention over the usual", (0, 10), above=True, default=1.0)
    traffic_bytes: Number = quantity("Traffic beside products", "byte", "Moved beside products for each token, layer and unit of width", usual=(0, 5000))
    tensor_exposure: Number = quantity("Tensor-parallel exposure", "1", "Share of tensor-parallel traffic that a step waits for, nothing hidden", (0, 10))
    tensor_hidden_share: Number = quantity("Tensor-parallel overlap", "1", "Part of it that overlapping hides", ONE)
    expert_exposure: Number = quantity("Expert-parallel exposure", "1", "Share of expert-parallel traffic that a step waits for", (0, 10))
    expert_product_share: Number = quantity("Expert products", "1", "Rate of grouped experts over that of dense products", **EFFICIENCY)
    shard_exposure: Number = quantity("Sharding exposure", "1", "Share of the traffic of sharded weights that a step waits for", (0, 10))
    scale_out_loss: Number = quantity("Scale-out loss", "1", "Time added for each doubling beyond the scale-up domain", ONE)
    recompute_cost: Number = quantity("Recompute cost", "1", "Time of recomputing a forward pass over its full price", (0, 2))
    lora_factor: Number = quantity("LoRA factor", "1", "Time of products with frozen weights over that of their FLOP", (0.5, 3), default=1.0)
    clock_exponent: Number = quantity("Clock exponent", "1", "Power of the power limit's share that the clock follows", (0, 2))
    training_spread: Number = quantity("Spread of training", "1", "Standard deviation of log(measured/predicted) of training rates", usual=(0.01, 2))
    training_calibrated: Number = quantity("Training calibrated", "1", "1 if published training figures of the chip's class are behind its rates", ONE, default=0.0)
    training_moe_spread: Number = quantity("Spread of MoE training", "1", "What mixture-of-experts models add to it, as a factor", (1, 10))


VALUES = dict(chip=Chip, model=Model, workload=Workload, deployment=Deployment, site=Site, finance=Finance)
IDS = ("chip", "model", "workload", "site")
CHOICES = ("engine", "ownership", "commitment", "allocation")
LOADS = ("batch", "clients", "arrival_requests_per_s")
SLOS = ("ttft_slo_s", "tpot_slo_s", "slo_quantile")
FIELDS = {f.name: f for value in VALUES.values() for f in fields(value)}
OWNER = {f.name: key for key, value in VALUES.items() for f in fields(value)}
TEXTS = {name for name, f in FIELDS.items() if f.metadata["unit"] == "text"}
CHOSEN = ("engine", "weight_bits", "kv_bits", "activation_bits", "tensor_parallel", "pipeline_parallel", "expert_parallel", "batch")
ENGINE_FACTS = ("layer_time_s", "allreduce_time_s", "step_time_s", "sequence_time_s", "first_token_time_s", "link_efficiency", "prefill_charge", "burst_wait", "overflow_wait", "compute_share", "attention_share", "flop_energy_j", "prompt_layer_time_s")
WHOLE = {"tensor_parallel", "pipeline_parallel", "expert_parallel", "attention_data_parallel", "draft_tokens", "prefill_workers", "decode_workers"}
def output(label, unit, help, better=None):
    return dict(label=label, unit=unit, help=help, better=better)


BILL = dict(  # the seven parts of usd_per_mtok, and the terms that they are sums of
    accelerator=("Accelerator", "chips"), host=("Host", "servers, spares, storage and racks"), network=("Network", "scale-up and scale-out network"),
    facility=("Facility", "the building, or its rent"), electricity=("Electricity", "energy"), rent=("Cloud rent", "rented chips and egress"), operations=("Operations", "upkeep, insurance, staff and software"))  # fmt: skip
TERMS = dict(server="host", spares="host", other="host", scale_up="network", scale_out="network", building="facility", upkeep="facility", space="facility", maintenance="operations", insurance="operations", staff="operations", software="operations", cloud="rent", egress="rent")
OUTPUTS = dict(
    chips_per_replica=output("Chips a replica", "1", "Chips of one replica", "less"),
    compute_format=output("Arithmetic", "text", "Format of the matrix products"),
    batch=output("Batch", "1", "Mean sequences in flight on one replica"),
    fits_memory=output("Fits", "bool", "Weights, one request of full length and the batch fit in memory"),
    meets_slo=output("Meets the limits", "bool", "TTFT and TPOT are within the workload's limits"),
    extrapolated=output("Extrapolated", "bool", "Outside what the calibration has seen"),
    reason=output("Reason", "text", "Why numbers are missing, or which limit is missed"),
    weak=output("Weak facts", "text", "Estimates and unverified facts the row rests on"),
    bound=output("Bound", "text", "What takes most of a step: compute, memory, network or overhead"),
    batch_limit=output("Batch limit", "text", "What stopped the batch: memory, tpot, ttft, given or max_batch"),
    share_compute=output("Compute share", "1", "Share of a mean step that compute takes"),
    share_memory=output("Memory share", "1", "Share of a mean step that memory takes"),
    share_network=output("Network share", "1", "Share of a mean step that exposed communication takes"),
    share_overhead=output("Overhead share", "1", "Share of a mean step that fixed times take"),
    mfu=output("MFU", "1", "Model FLOP over peak FLOP of a mean step", "more"),
    mbu=output("MBU", "1", "Bytes that must move over bytes that could, of a mean step", "more"),
    ttft_s=output("TTFT", "s", "Arrival to first token, mean", "less"),
    tpot_s=output("TPOT", "s", "Time per output token after the first, mean", "less"),
    ttft_p95_s=output("TTFT, P95", "s", "95th percentile of TTFT, for a prompt of mean length; needs an arrival rate", "less"),
    tpot_p95_s=output("TPOT, P95", "s", "95th percentile over tokens of TPOT; needs an arrival rate", "less"),
    output_tokens_per_s=output("Output tokens/s", "token/s", "Output tokens of one replica", "more"),
    output_tokens_per_s_per_chip=output("Output tokens/s per chip", "token/s", "Output tokens of one replica over its chips", "more"),
    output_tokens_per_s_per_user=output("Tokens/s per user", "token/s", "Speed one user sees: 1 / TPOT", "more"),
    requests_per_s=output("Requests/s", "req/s", "Requests one replica answers at its load", "more"),
    capacity_requests_per_s=output("Capacity", "req/s", "Requests one replica can answer within the limits", "more"),
    usd_per_chip_hour=output("Cost of a chip-hour", "USD/h", "Every cost of one chip slot per calendar hour", "less"),
    usd_per_mtok=output("Cost of output tokens", "USD/Mtok", "All cost over output tokens served", "less"),
    usd_per_mtok_input=output("Cost of prompt tokens", "USD/Mtok", "Cost of the prompt's share, per prompt token", "less"),
    usd_per_mtok_cached=output("Cost of cached tokens", "USD/Mtok", "Cost of attending to a cached prompt token", "less"),
    usd_per_mtok_output=output("Cost of answer tokens", "USD/Mtok", "Cost of the answer's share, per output token", "less"),
    usd_per_mtok_blended=output("Cost of all tokens", "USD/Mtok", "All cost over prompt and output tokens", "less"),
    usd_per_mtok_usage=output("Cost at use", "USD/Mtok", "Only the hours used, of usd_per_mtok; the rest is idle", "less"),
    usd_per_mtok_idle=output("Cost of idling", "USD/Mtok", "Hours paid for and not used: usd_per_mtok less usd_per_mtok_usage", "less"),
    **{f"usd_per_mtok_{name}": output(label, "USD/Mtok", f"Part of usd_per_mtok that pays for {what}", "less") for name, (label, what) in BILL.items()},
    **{f"usd_per_mtok_{name}": output(name.replace("_", "-").capitalize(), "USD/Mtok", f"Term of usd_per_mtok_{of}", "less") for name, of in TERMS.items()},
    usd_per_request=output("Cost of a request", "USD", "All cost over requests served", "less"),
    usd_per_user_month=output("Cost of a user", "USD", "All cost of the requests one user sends in a month of 365/12 days", "less"),
    tokens_per_usd=output("Tokens per dollar", "1", "Output tokens a dollar buys", "more"),
    provisioned_j_per_request=output("TDP per request", "J", "Rated power of chips, hosts and network with PUE, over capacity; not what is drawn", "less"),
    provisioned_j_per_served_request=output("TDP per served request", "J", "Rated power of chips, hosts and network with PUE, over requests served", "less"),
    tokens_per_s_per_mw=output("Tokens/s per MW", "token/s/MW", "Output tokens/s at capacity of one provisioned megawatt: rated power of chips, hosts and network with PUE", "more"),
    energy_j_per_request=output("Energy per request", "J", "Modeled draw of chips, hosts and network with its idle share and PUE, per served request", "less"),
    wh_per_request=output("Watt-hours a request", "Wh", "energy_j_per_request in Wh: modeled draw, idle share, hosts, network and PUE in it", "less"),
    accelerator_energy_j_per_request=output("Chip energy per request", "J", "Modeled draw of the chips alone at work", "less"),
    prefill_energy_j_per_request=output("Prompt energy", "J", "Part of accelerator_energy_j_per_request drawn while prompts are read", "less"),
    decode_energy_j_per_request=output("Answer energy", "J", "Part of accelerator_energy_j_per_request drawn while answers are written", "less"),
    energy_j_per_output_token=output("Energy a token", "J", "Modeled draw with its idle share and PUE, per output token served", "less"),
    accelerator_energy_j_per_output_token=output("Chip energy a token", "J", "Modeled draw of the chips alone at work, prompts included, per output token", "less"),
    prefill_w_per_chip=output("Prefill draw", "W", "Draw of one chip while it reads a prompt", "less"),
    decode_w_per_chip=output("Decode draw", "W", "Draw of one chip in a decoding step", "less"),
    active_w_per_chip=output("Draw at work", "W", "Draw of one chip at work, both phases by their time", "less"),
    idle_w_per_chip=output("Idle draw", "W", "Draw of one chip that waits", "less"),
    server_w_per_chip=output("Server draw", "W", "AC draw of a server at work, per chip, before PUE", "less"),
    mean_w_per_chip=output("Mean draw", "W", "Modeled draw of one chip slot over the year, before PUE", "less"),
    carbon_g_per_request=output("Carbon per request", "g", "Operational, location-based: energy_j_per_request at the mean intensity of the grid; making the chips is not in it", "less"),
    embodied_g_per_request=output("Embodied carbon per request", "g", "Carbon of making the chips and their share of the host, over their life and the requests served; operation is not in it", "less"),
    replicas=output("Replicas", "1", "Replicas that serve the demand at its peak", "less"),
    spare_replicas=output("Spare replicas", "1", "Replicas beside them, so that enough work at the availability target", "less"),
    fleet_chips=output("Fleet", "1", "Chips of all replicas, spares included", "less"),
    fleet_w=output("Fleet power", "W", "Rated power of the fleet with PUE", "less"),
    usd_per_month=output("Fleet cost", "USD", "Dollars a month for the fleet", "less"),
    concurrent_requests=output("Requests in flight", "1", "Mean requests in flight in the fleet"),
    weight_bytes_per_chip=output("Weights a chip", "byte", "Weights held by one chip", "less"),
    kv_bytes_per_token=output("KV a token", "byte", "KV cache of one token of a replica, all layers", "less"),
    most_sequences=output("Sequences that fit", "1", "Largest batch that memory allows", "more"),
    prefill_s=output("Prefill time", "s", "Reading one prompt alone on the replica", "less"),
    prefill_batch_s=output("Batch prefill time", "s", "Reading the prompts of the whole batch before any answer", "less"),
    decode_step_s=output("Decode step", "s", "One decoding step without prompts, for each token a sequence keeps", "less"),
    peak_flop_per_s=output("Peak in use", "FLOP/s", "Dense peak of the format used", "more"),
    ridge_flop_per_byte=output("Ridge", "FLOP/byte", "Intensity at which the roofs meet"),
    prefill_flop_per_byte=output("Prefill intensity", "FLOP/byte", "FLOP over bytes of reading a prompt"),
    decode_flop_per_byte=output("Decode intensity", "FLOP/byte", "FLOP over bytes of a decoding step"),
    prefill_flop_per_s_per_chip=output("Prefill rate", "FLOP/s", "FLOP/s of one chip while it reads a prompt", "more"),
    decode_flop_per_s_per_chip=output("Decode rate", "FLOP/s", "FLOP/s of one chip in a decoding step", "more"),
)  # fmt: skip
INTERVALS = [  # outputs with _low and _high
    name for name in OUTPUTS if name in ("ttft_s", "tpot_s", "tokens_per_usd", "carbon_g_per_request", "output_tokens_per_s", "requests_per_s", "capacity_requests_per_s", "tokens_per_s_per_mw", "wh_per_request")
    or name.startswith(("output_tokens_per_s_", "usd_per_mtok")) or name.endswith(("_j_per_request", "_j_per_output_token"))
]  # fmt: skip
OUTPUTS |= {
    name + end: OUTPUTS[name] | dict(label=f"{OUTPUTS[name]['label']}, {word}", help=f"80 % interval of {name}, {word} end")
    for name in INTERVALS for end, word in (("_low", "low"), ("_high", "high"))
}  # fmt: skip
HEADLINE = [
    "chips_per_replica", "compute_format", "batch", "fits_memory", "meets_slo", "extrapolated", "reason", "weak", "bound", "batch_limit",
    "share_compute", "share_memory", "share_network", "share_overhead", "mfu", "mbu", "ttft_s", "tpot_s", "output_tokens_per_s",
    "output_tokens_per_s_per_chip", "output_tokens_per_s_per_user", "requests_per_s", "capacity_requests_per_s", "usd_per_chip_hour",
    "usd_per_mtok", "usd_per_mtok_input", "tokens_per_usd", "provisioned_j_per_request", "energy_j_per_request", "carbon_g_per_request",
]  # fmt: skip
HEADLINE += [name + end for name in INTERVALS if name in HEADLINE for end in ("_low", "_high")]
FLEET = ["replicas", "spare_replicas", "fleet_chips", "fleet_w", "usd_per_month", "concurrent_requests"]
