# The worker, and every other stope command: `docker run IMAGE run …` is `stope run …`.
FROM python:3.11-slim

# llama.cpp's extension is linked to the system's OpenMP.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore

WORKDIR /opt/stope

# The dependencies change less often than the code: a layer of their own.
COPY requirements.lock ./
RUN python -m pip install --require-hashes -r requirements.lock

COPY pyproject.toml README.md LICENSE client.py search_attributes.py worker.py ./
COPY activities ./activities
COPY cli ./cli
COPY jobs ./jobs
COPY stope ./stope
COPY workflows ./workflows
RUN python -m pip install --no-deps --no-build-isolation .

# Volumes that are mounted here for the first time take over these owners.
RUN useradd --create-home --uid 10001 stope \
    && install --directory --owner=stope --group=stope /data /data/home /data/artifacts /models

ENV STOPE_HOME=/data/home \
    STOPE_MODELS=/models \
    HF_HOME=/models/hub

USER stope
WORKDIR /data

ENTRYPOINT ["stope"]
CMD ["worker"]
