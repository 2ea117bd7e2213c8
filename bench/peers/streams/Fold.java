// Kafka Streams: one thread, a processor over a persistent store (RocksDB) with a changelog topic. How much does it guarantee? Its one argument.

import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StoreQueryParameters;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.ProcessorSupplier;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.QueryableStoreTypes;
import org.apache.kafka.streams.state.StoreBuilder;
import org.apache.kafka.streams.state.Stores;

public final class Fold {
    private static final String STORE = "accounts";
    private static final ObjectMapper JSON = new ObjectMapper();

    private Fold() {}

    /** What the bench asks for. */
    public static final class Job {
        public String bootstrap, topic, group, output, folder, database;
        public int partitions, events, warm, threshold;
    }

    /** What is folded of an event; the rest is skipped. */
    @JsonIgnoreProperties(ignoreUnknown = true)
    public static final class Event {
        public String account, at;
        public Use properties;
    }

    @JsonIgnoreProperties(ignoreUnknown = true)
    public static final class Use {
        public String feature;
    }

    /** One account. */
    public static final class Kept {
        public int count;
        public String last = "";
        public Map<String, Integer> features = new HashMap<>();
    }

    /** Told once, when an account reaches the threshold. */
    public record Transition(String account, int count, String at) {}

    private static <T> Serde<T> json(Class<T> type) {
        return Serdes.serdeFrom((topic, value) -> written(value), (topic, bytes) -> read(bytes, type));
    }

    private static byte[] written(Object value) {
        try {
            return value == null ? null : JSON.writeValueAsBytes(value);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    private static <T> T read(byte[] bytes, Class<T> type) {
        try {
            return bytes == null ? null : JSON.readValue(bytes, type);
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Folds in the one stream thread. */
    private static final class Step implements Processor<String, Event, String, Transition> {
        private static int seen; // of all partitions: there is one thread
        private final Job job;
        private final CountDownLatch last;
        private ProcessorContext<String, Transition> context;
        private KeyValueStore<String, Kept> accounts;

        Step(Job job, CountDownLatch last) {
            this.job = job;
            this.last = last;
        }

        @Override
        public void init(ProcessorContext<String, Transition> context) {
            this.context = context;
            this.accounts = context.getStateStore(STORE);
        }

        @Override
        public void process(Record<String, Event> record) {
            Event event = record.value();
            Kept kept = accounts.get(event.account);
            if (kept == null) {
                kept = new Kept();
            }
            kept.count++;
            kept.last = kept.last.compareTo(event.at) < 0 ? event.at : kept.last;
            kept.features.merge(event.properties.feature, 1, Integer::sum);
            accounts.put(event.account, kept);
            if (kept.count == job.threshold) {
                context.forward(record.withValue(new Transition(event.account, kept.count, kept.last)));
            }
            if (++seen == job.warm) {
                tell("began " + seen);
            }
            if (seen == job.events) {
                context.commit();
                last.countDown();
            }
        }
    }

    private static void tell(String what) {
        System.out.println(what);
        System.out.flush();
    }

    private static Properties settings(Job job, String guarantee) {
        Properties settings = new Properties();
        settings.put(StreamsConfig.APPLICATION_ID_CONFIG, job.group);
        settings.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, job.bootstrap);
        settings.put(StreamsConfig.STATE_DIR_CONFIG, job.folder + "/state");
        settings.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 1);
        settings.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, guarantee);
        settings.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        settings.put("auto.offset.reset", "earliest");
        return settings;
    }

    private static KafkaStreams streams(Job job, String guarantee, CountDownLatch last) {
        StoreBuilder<KeyValueStore<String, Kept>> store =
            Stores.keyValueStoreBuilder(Stores.persistentKeyValueStore(STORE), Serdes.String(), json(Kept.class))
                .withCachingEnabled();
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(job.topic, Consumed.with(Serdes.String(), json(Event.class)))
            .process(new ProcessorSupplier<String, Event, String, Transition>() {
                @Override
                public Processor<String, Event, String, Transition> get() {
                    return new Step(job, last);
                }

                @Override
                public Set<StoreBuilder<?>> stores() {
                    return Set.of(store);
                }
            })
            .to(job.output, Produced.with(Serdes.String(), json(Transition.class)));
        return new KafkaStreams(builder.build(), settings(job, guarantee));
    }

    private static Map<String, Kept> found(KafkaStreams streams) {
        Map<String, Kept> accounts = new HashMap<>();
        var store = streams.store(StoreQueryParameters.fromNameAndType(STORE, QueryableStoreTypes.<String, Kept>keyValueStore()));
        try (var every = store.all()) {
            every.forEachRemaining(entry -> accounts.put(entry.key, entry.value));
        }
        return accounts;
    }

    public static void main(String[] words) throws Exception {
        Job job = JSON.readValue(System.getenv("BENCH_JOB"), Job.class);
        CountDownLatch last = new CountDownLatch(1);
        try (KafkaStreams streams = streams(job, words[0], last)) {
            streams.start();
            last.await();
            tell("done");
            System.in.read(); // until the clocks were read
            JSON.writeValue(new File(job.folder, "state.json"), found(streams));
            streams.close(Duration.ofSeconds(20));
        }
    }
}
