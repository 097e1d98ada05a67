"""What people write to one another, in the languages that chat clients see most: made up by us for training, said by nobody.

Only frequent words matter here: a dictionary that knows them saves a byte or two in each message.
"""


def phrases() -> dict[str, tuple[int, list[str]]]:
    """Return for each language how frequent it is and its sentences."""
    return {name: (weight, [line.strip() for line in text.strip().splitlines()]) for name, weight, text in _LANGUAGES}


SHORT = (
    "ok", "Ok", "OK", "yes", "Yes", "no", "No", "thanks", "Thanks!", "thank you", "sure", "hi", "Hi", "hey", "Hello", "hello", "lol",
    "haha", "nice", "cool", "great", "Great!", "done", "bye", "good night", "good morning", "see you", "see you later", "on my way",
    "one moment", "what?", "why?", "where are you?", "call me", "👍", "😂", "❤️", "🙏", "😅", "👌", "🎉", "😢", "🤔", "ja", "nein", "danke",
    "oui", "non", "merci", "si", "gracias", "да", "нет", "спасибо", "好的", "はい", "네", "tamam", "evet", "sim", "obrigado", "grazie",
)  # fmt: skip

_ENGLISH = """
I think that would be a good idea, but I am not sure about the time.
What do you think about this?
Can you tell me what you want to do tomorrow?
I don't know what you mean by that.
How are you doing today?
I have been working on it since this morning and it is almost done.
Do you have a moment to talk about the project?
It is not the best way to do it, but it works for me.
There is something that I would like to ask you.
You should be able to see it in the list now.
That is what I was going to say.
Have you ever been to the city before?
I will be there in about ten minutes, please wait for me.
The train is late again, so I will not make it before nine.
Could you send me the address of the place where we are going to meet?
Who is going to be there besides us?
We can have dinner at home or go out, whatever you like.
I am sorry, I did not see your message until now.
Let me know when you are ready and I will come over.
It was really great to see all of you yesterday.
Are you still at work or already on the way home?
My computer is very slow today and I do not understand why.
The server should be running again, can you try to connect?
Which version of the software do you use?
I like the music that you were playing last night.
What is your favorite book of all time?
Where do you come from and what language do you speak?
Please do not forget to bring the key with you.
The weather is supposed to be better on the weekend.
Would you like to go for a walk with the dog later?
This is the first time that I have heard of it.
I need to get some things from the store, do we have any milk?
He said that he would call her, but he never did.
She has to go to the doctor, so she cannot come with us.
They are looking for somebody who knows how to fix it.
I can't believe how much money they want for that.
You are right, we have to do something about it.
If you don't mind, I would rather stay at home tonight.
When is the meeting going to start?
I have no idea what happened to the file you sent.
Everything is fine here, thank you for asking.
Maybe we should talk about it when we meet.
It's been a long day and I want to go to bed.
Why don't you just ask him yourself?
The new phone is much better than the old one.
Is there anything else that I can help you with?
I would love to, but I have other plans for today.
Did you get the picture that I sent you on Monday?
We are going to be a little late because of the traffic.
Happy birthday! I hope you have a wonderful day with your family and friends.
Can I use it with my own account, or do I need a new one?
The problem is that most people do not even know it exists.
In my opinion, that is one of the most interesting questions.
I really want to learn more about the history of the world.
What kind of movies do you like to watch?
Just a second, somebody is at the door.
Tell me more about yourself and your life.
There are a lot of things that we could do better.
It does not matter, we can try again next week.
How much does it cost and how long will it take?
I am a human being, not a machine, and I make mistakes.
Every question has an answer, even if you do not like it.
The government of the country is going to change the law.
Science and art are not so different from each other.
What does the word mean in your language?
Who was the first person to walk on the moon?
What is the difference between a computer and a robot?
I would rather have a cup of coffee than a glass of wine.
Do you believe that there is life on other planets?
It depends on what you want to know about it.
My favorite food is pizza, and I also like chocolate.
The capital of France is Paris, as far as I remember.
A language is a system of words that people use to understand each other.
Nobody knows for certain what will happen in the future.
You can find more information about this on their website.
We were talking about the problem with the new system last week.
Have you read any good books lately?
The company was founded about twenty years ago by two students.
She is one of the best players of all time.
He has been married for ten years and has three children.
How many people live in the United States?
That sounds like a lot of fun, count me in!
I am not feeling very well today, so I think I will stay in bed.
What is your name and how old are you?
Could you explain to me how that works, please?
Some people say that money is the root of all evil.
I never thought about it that way before.
Which team do you think is going to win the game tonight?
They sell it in every store, but it is cheaper on the internet.
The human brain is still more powerful than any program.
Do you prefer to travel by train or by plane?
In physics, energy is a quantity that never gets lost.
Where can I get something good to eat around here?
I used to play the guitar when I was younger.
Please write the function so that it returns the number of items.
The value of the variable is not what I expected.
You have to install the package first, then start the program again.
There was an error when it tried to open the connection to the database.
Would you mind if I asked you a personal question?
If I had known that earlier, I would have told you.
Both of them are interesting, but I prefer the second one.
As long as you are happy, I am happy too.
The sun is a star in the center of our solar system.
Water is made of hydrogen and oxygen.
What was the name of the president at that time?
I can think, but I do not have emotions like a human.
They have been working together since they left school.
The police are looking for a man who stole a car this morning.
Tell me a joke or a story that makes me laugh.
Everybody should learn how to swim when they are children.
Do not worry about it, these things happen to everyone.
The film is based on a true story from the last century.
Which country did you like the most and why?
I usually get up at seven and have breakfast with my wife.
My brother is older than me and my sister is younger.
Let us meet at the station at half past eight.
It looks as if it is going to rain in the afternoon.
The last time we met was in the summer, wasn't it?
You don't have to be rich to be famous or successful.
An important part of the work is already finished.
The best way to learn something is to do it yourself.
He doesn't like to talk about politics or religion.
I'm sure that you'll find a solution for that.
We haven't heard from them for quite some time.
That's exactly what I mean, thanks for the help!
What's the matter with you today, did something happen?
You're welcome, it was my pleasure to help you.
Isn't it strange how quickly time goes by?
I'll let you know as soon as I know more about it.
There's nothing we can do about it right now.
Who wrote this book and what is it about?
What would you do if you had a million dollars?
A good friend is someone who is there when you need them.
This question is too difficult for me, ask me another one.
Where were you born and where did you grow up?
Does it make a difference whether it is large or small?
The stock market went down again, so I lost some money.
Music makes people feel better, no matter what kind it is.
Their house is near the river, about five miles from the town.
In the beginning everything was simple and easy to use.
The doctor said it would take a few weeks until I am healthy again.
Most of the time I listen to the radio while I drive.
Which operating system and which programming language do you prefer?
That was a very nice thing to say, thank you so much.
"""
_LANGUAGES: tuple[tuple[str, int, str], ...] = (
    ("english", 50, _ENGLISH),
    (
        "german",
        7,
        """
Ich glaube, das ist eine gute Idee, aber ich bin mir nicht sicher.
Was machst du heute Abend?
Kannst du mir bitte sagen, wann wir uns treffen?
Das habe ich nicht gewusst, danke für die Information.
Wie geht es dir und der Familie?
Ich bin gerade noch auf der Arbeit und komme später nach Hause.
Wir sollten uns mal wieder sehen, vielleicht am Wochenende.
Es tut mir leid, ich habe deine Nachricht erst jetzt gelesen.
Der Zug hat schon wieder Verspätung, es wird etwas später.
Hast du noch etwas zu essen oder soll ich einkaufen gehen?
Das ist nicht so einfach, wie es aussieht.
Wo bist du und wer ist noch dabei?
Ich weiß nicht, was du meinst.
Vielen Dank und einen schönen Tag noch!
Sie können das auch ohne mich machen, wenn Sie wollen.
Bis morgen, schlaf gut und träum was Schönes.
""",
    ),
    (
        "spanish",
        8,
        """
Creo que es una buena idea, pero no estoy seguro.
¿Qué vas a hacer esta noche?
¿Me puedes decir a qué hora nos vemos mañana?
No sé lo que quieres decir con eso.
¿Cómo estás? Hace mucho tiempo que no hablamos.
Estoy en el trabajo, te llamo cuando llegue a casa.
Lo siento, no he visto tu mensaje hasta ahora.
Muchas gracias por todo, eres muy amable.
El tren llega tarde, nos vemos en la estación.
¿Dónde está la llave de la puerta?
Tengo que ir al médico, así que no puedo ir con vosotros.
¿Cuál es tu película favorita?
Eso es lo que te quería decir.
Me gusta mucho la música que has puesto.
Los niños ya están en la cama.
Buenas noches, hasta mañana.
""",
    ),
    (
        "french",
        5,
        """
Je pense que c'est une bonne idée, mais je ne suis pas sûr.
Qu'est-ce que tu fais ce soir ?
Est-ce que tu peux me dire à quelle heure on se voit demain ?
Je ne sais pas ce que tu veux dire par là.
Comment ça va ? Il y a longtemps qu'on ne s'est pas parlé.
Je suis encore au travail, je t'appelle quand je suis à la maison.
Désolé, je n'ai pas vu ton message avant maintenant.
Merci beaucoup pour tout, c'est très gentil.
Le train est en retard, on se retrouve à la gare.
Où est la clé de la porte ?
C'est ce que je voulais te dire, il faut que nous en parlions.
Quel est ton film préféré ?
Bonne nuit et à demain !
Vous pouvez venir avec nous si vous voulez.
""",
    ),
    (
        "portuguese",
        5,
        """
Acho que é uma boa ideia, mas não tenho certeza.
O que você vai fazer hoje à noite?
Você pode me dizer a que horas a gente se encontra amanhã?
Não sei o que você quer dizer com isso.
Como você está? Faz muito tempo que não conversamos.
Estou no trabalho, te ligo quando chegar em casa.
Desculpa, não vi a sua mensagem até agora.
Muito obrigado por tudo, você é muito gentil.
Onde está a chave da porta?
Qual é o seu filme favorito?
Boa noite, até amanhã.
Eu gosto muito de música, e você?
""",
    ),
    (
        "italian",
        4,
        """
Penso che sia una buona idea, ma non sono sicuro.
Che cosa fai questa sera?
Mi puoi dire a che ora ci vediamo domani?
Non so che cosa vuoi dire con questo.
Come stai? È molto tempo che non ci sentiamo.
Sono ancora al lavoro, ti chiamo quando arrivo a casa.
Mi dispiace, non ho visto il tuo messaggio fino ad ora.
Grazie mille di tutto, sei molto gentile.
Dove sono le chiavi della macchina?
Qual è il tuo film preferito?
Buona notte, a domani.
""",
    ),
    (
        "russian",
        5,
        """
Я думаю, что это хорошая идея, но я не уверен.
Что ты делаешь сегодня вечером?
Скажи мне, пожалуйста, во сколько мы завтра встречаемся?
Я не знаю, что ты имеешь в виду.
Как дела? Мы давно не разговаривали.
Я ещё на работе, позвоню, когда буду дома.
Извини, я только сейчас увидел твоё сообщение.
Большое спасибо за всё, это было очень хорошо.
Где ключ от двери?
Какой твой любимый фильм?
Если хочешь, можно пойти вместе с нами.
Спокойной ночи, до завтра.
Почему ты так думаешь?
Это то, что я хотел сказать.
""",
    ),
    (
        "ukrainian",
        3,
        """
Я думаю, що це гарна ідея, але я не впевнений.
Що ти робиш сьогодні ввечері?
Скажи мені, будь ласка, о котрій ми завтра зустрічаємось?
Я не знаю, що ти маєш на увазі.
Як справи? Ми давно не розмовляли.
Я ще на роботі, подзвоню, коли буду вдома.
Вибач, я тільки зараз побачив твоє повідомлення.
Дуже дякую за все.
Який твій улюблений фільм?
На добраніч, до завтра.
""",
    ),
    (
        "chinese",
        3,
        """
我觉得这是一个好主意，但是我不太确定。
你今天晚上做什么？
你能告诉我明天几点见面吗？
我不知道你是什么意思。
你好吗？我们很久没有说话了。
我还在上班，到家以后给你打电话。
对不起，我现在才看到你的消息。
非常感谢你，你真好。
你最喜欢的电影是什么？
晚安，明天见。
""",
    ),
    (
        "japanese",
        3,
        """
いい考えだと思いますが、よく分かりません。
今夜は何をしますか？
明日は何時に会いますか？
あなたが何を言っているのか分かりません。
お元気ですか？お久しぶりです。
まだ仕事中です。家に着いたら電話します。
すみません、今メッセージを見ました。
本当にありがとうございました。
好きな映画は何ですか？
おやすみなさい、また明日。
""",
    ),
    (
        "korean",
        2,
        """
좋은 생각인 것 같은데 잘 모르겠어요.
오늘 저녁에 뭐 해요?
내일 몇 시에 만날까요?
무슨 말인지 모르겠습니다.
잘 지내요? 오랜만이에요.
아직 회사에 있어요, 집에 가면 전화할게요.
미안해요, 메시지를 지금 봤어요.
정말 감사합니다.
좋아하는 영화가 무엇입니까?
안녕히 주무세요.
""",
    ),
    (
        "persian",
        2,
        """
فکر می کنم ایده خوبی است ولی مطمئن نیستم.
امشب چه کار می کنی؟
می توانی به من بگویی فردا چه ساعتی همدیگر را می بینیم؟
نمی دانم منظورت چیست.
حال شما چطور است؟
من هنوز سر کار هستم، وقتی به خانه رسیدم زنگ می زنم.
ببخشید، پیام شما را الان دیدم.
خیلی ممنون، شب بخیر.
""",
    ),
    (
        "turkish",
        2,
        """
Bence bu iyi bir fikir ama emin değilim.
Bu akşam ne yapıyorsun?
Yarın saat kaçta buluşuyoruz, bana söyler misin?
Ne demek istediğini bilmiyorum.
Nasılsın? Uzun zamandır konuşmadık.
Hâlâ işteyim, eve gelince seni ararım.
Kusura bakma, mesajını yeni gördüm.
Her şey için çok teşekkür ederim.
En sevdiğin film hangisi?
İyi geceler, yarın görüşürüz.
""",
    ),
    (
        "indonesian",
        2,
        """
Saya pikir itu ide yang bagus, tetapi saya tidak yakin.
Apa yang kamu lakukan malam ini?
Bisakah kamu memberi tahu saya jam berapa kita bertemu besok?
Saya tidak tahu apa maksud kamu.
Apa kabar? Sudah lama kita tidak bicara.
Saya masih di kantor, nanti saya telepon dari rumah.
Maaf, saya baru melihat pesan kamu.
Terima kasih banyak untuk semuanya.
Selamat malam, sampai jumpa besok.
""",
    ),
    (
        "dutch",
        3,
        """
Ik denk dat het een goed idee is, maar ik weet het niet zeker.
Wat doe je vanavond?
Kun je me zeggen hoe laat we elkaar morgen zien?
Ik weet niet wat je daarmee bedoelt.
Hoe gaat het met je? We hebben elkaar lang niet gesproken.
Ik ben nog op mijn werk, ik bel je als ik thuis ben.
Sorry, ik zie je bericht nu pas.
Heel erg bedankt voor alles, dat is heel aardig van je.
Welterusten, tot morgen.
""",
    ),
    (
        "hindi",
        2,
        """
मुझे लगता है कि यह एक अच्छा विचार है, लेकिन मुझे यकीन नहीं है।
आज शाम को आप क्या कर रहे हैं?
क्या आप मुझे बता सकते हैं कि हम कल कितने बजे मिलेंगे?
मुझे नहीं पता कि आपका क्या मतलब है।
आप कैसे हैं? बहुत दिनों से बात नहीं हुई।
मैं अभी काम पर हूँ, घर पहुँच कर फोन करूँगा।
आपका बहुत बहुत धन्यवाद।
शुभ रात्रि, कल मिलते हैं।
""",
    ),
)
